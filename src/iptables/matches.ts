// The matches and targets that our rules are made of, spelled as iptables-save prints them.
import { type Address, addressBits, type Family, familyOf } from '../net/address.ts'
import { type Cidr, formatCidr } from '../net/cidr.ts'
import { type Match, type Option, quoteWord, type Target } from './rule.ts'

export type Protocol = 'tcp' | 'udp' | 'sctp'
type ConnectionState = 'NEW' | 'ESTABLISHED' | 'RELATED' | 'INVALID' | 'DNAT'

export function from(source: Address | Cidr): Match {
  return match('', option('-s', blockText(source)))
}

export function to(destination: Address | Cidr): Match {
  return match('', option('-d', blockText(destination)))
}

/** `-i DEVICE`. @param device a name, or the beginning of one and `+` */
export function fromDevice(device: string): Match {
  return match('', option('-i', device))
}

const protocols: Readonly<Record<Protocol, Match>> = {
  tcp: match('', option('-p', 'tcp')),
  udp: match('', option('-p', 'udp')),
  sctp: match('', option('-p', 'sctp')),
}

export function protocolIs(protocol: Protocol): Match {
  return protocols[protocol]
}

/** `-m PROTOCOL --dport LOW:HIGH`. */
export function toPort(protocol: Protocol, low: number, high = low): Match {
  return match(protocol, option('--dport', low === high ? String(low) : `${low}:${high}`))
}

/** `-m PROTOCOL` without a condition, as kube-proxy writes it before a DNAT to a port. */
export function moduleOf(protocol: Protocol): Match {
  return match(protocol)
}

/** At most 255 bytes. */
export function comment(text: string): Match {
  return match('comment', option('--comment', quoteWord(text)))
}

/** The packet's mark has the bits. @param bits "0x4000/0x4000": value and mask */
export function markIs(bits: string): Match {
  return match('mark', option('--mark', bits))
}

export function stateIs(...states: readonly ConnectionState[]): Match {
  return match('conntrack', option('--ctstate', states.join(',')))
}

export function toLocal(): Match {
  return match('addrtype', option('--dst-type', 'LOCAL'))
}

export function fromLocal(): Match {
  return match('addrtype', option('--src-type', 'LOCAL'))
}

/** Counts packets in an object that kube-proxy has made; without the object the kernel refuses the rule. */
export function countedBy(nfacct: string): Match {
  return match('nfacct', option('--nfacct-name', nfacct))
}

/**
 * Matches at random in `part` of `whole` cases; undefined where that is always. iptables keeps multiples of 2^-31 and
 * prints eleven decimals of them.
 */
export function chance(part: number, whole: number): Match | undefined {
  if (part >= whole) return undefined
  const kept = Math.round(Number((part / whole).toFixed(10)) * 2 ** 31) / 2 ** 31
  return match('statistic', option('--mode', 'random'), option('--probability', kept.toFixed(11)))
}

/** Remembers the packet's source in the kernel's list of that name; matches every packet. */
export function remember(list: string, family: Family): Match {
  return match('recent', option('--set'), ...recentList(list, family))
}

/** The source is in the list, and was seen there within so many seconds. */
export function isRemembered(list: string, seconds: number, family: Family): Match {
  return match(
    'recent',
    option('--rcheck'),
    option('--seconds', String(seconds)),
    option('--reap'),
    ...recentList(list, family),
  )
}

function recentList(list: string, family: Family): Option[] {
  const mask = family === 4 ? '255.255.255.255' : 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'
  return [option('--name', list), option('--mask', mask), option('--rsource')]
}

/** The opposite of a match with one option. */
export function not({ module, options }: Match): Match {
  return { module, options: options.map((each) => ({ ...each, negated: !each.negated })) }
}

export function jump(name: string, ...options: readonly Option[]): Target {
  return { verb: 'jump', name, options }
}

export function goTo(chain: string): Target {
  return { verb: 'goto', name: chain, options: [] }
}

export const accept = jump('ACCEPT')
export const drop = jump('DROP')
export const returns = jump('RETURN')

/** Gives the packet the address of the device that it leaves by, and a port that nobody can guess. */
export const masquerade = jump('MASQUERADE', option('--random-fully'))

/** Refuses the packet; the ICMP answer tells the client at once. */
export function reject(family: Family): Target {
  return jump('REJECT', option('--reject-with', family === 4 ? 'icmp-port-unreachable' : 'icmp6-port-unreachable'))
}

/** @param endpoint "10.244.1.5:8080" or "[fd00::5]:8080" */
export function dnat(endpoint: string): Target {
  return jump('DNAT', option('--to-destination', endpoint))
}

/** Clears the bits of the mask in the packet's mark, then toggles those of the value. @param bits "VALUE/MASK" */
export function setMark(bits: string): Target {
  return jump('MARK', option('--set-xmark', bits))
}

function match(module: string, ...options: readonly Option[]): Match {
  return { module, options }
}

function option(name: string, value = ''): Option {
  return { name, value, negated: false }
}

function blockText(of: Address | Cidr): string {
  return typeof of === 'string' ? `${of}/${addressBits(familyOf(of))}` : formatCidr(of)
}
