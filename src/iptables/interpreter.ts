// What iptables' rules do to the first packet of a connection, worked out from their text as the kernel would. Pure.
import { type Address, addressBits, canonicalAddress, familyOf } from '../net/address.ts'
import { cidrContains, cidrOf } from '../net/cidr.ts'

export interface WalkedPacket {
  readonly source: Address
  readonly destination: Address
  readonly protocol: string
  /** The destination's. */
  readonly port: number
  /** Undefined where a process of the node sends it. */
  readonly inDevice: string | undefined
  /** Undefined before it is routed. */
  readonly outDevice?: string | undefined
  readonly isOwn: (address: Address) => boolean
  readonly mark: number
  /** Its destination was translated on the way here. */
  readonly translated: boolean
}

export type RuleEnd =
  /** Back at the caller, or past the end of a built-in chain. */
  | { readonly kind: 'through' | 'accept' | 'drop' | 'reject' | 'masquerade' }
  | { readonly kind: 'dnat' | 'snat' | 'redirect'; readonly to: string }

export interface MetRule {
  readonly chain: string
  /** After `-A CHAIN `. */
  readonly rule: string
  /** Of the packets that came to the rule, how many it took: below 1 where it throws dice. */
  readonly share: number
}

export interface RuleWay {
  readonly chance: number
  readonly mark: number
  readonly end: RuleEnd
  /** The rules that did it: those that led to the end, and those that changed the mark. */
  readonly met: readonly MetRule[]
}

export interface RuleWalk {
  /** Their chances add up to 1, where nothing is missing. */
  readonly ways: readonly RuleWay[]
  /** Chains that rules led to and that were not given: what went there is in no way. */
  readonly missing: ReadonlySet<string>
  /** Rules with a condition that is not understood, which is taken as not met. */
  readonly doubtful: readonly MetRule[]
}

/** Chain -> its rules, after `-A CHAIN `. A chain that is known not to be there is empty. */
export type RuleChains = ReadonlyMap<string, readonly string[]>

/** Below this a way is an error of rounding. */
const leastChance = 1e-7

/** @param policy of a built-in chain: what becomes of packets that come back. */
export function walkRules(
  chains: RuleChains,
  base: string,
  packet: WalkedPacket,
  policy: 'accept' | 'drop' = 'accept',
): RuleWalk {
  const walker = new Walker(chains, packet)
  const ways = walker.chain(base, { chance: 1, mark: packet.mark, end: { kind: 'through' }, met: [] })
  const policed =
    policy === 'drop'
      ? ways.map((way): RuleWay =>
          way.end.kind === 'through'
            ? { ...way, end: { kind: 'drop' }, met: [...way.met, { chain: base, rule: `-P ${base} DROP`, share: 1 }] }
            : way,
        )
      : ways
  return { ways: policed, missing: walker.missing, doubtful: walker.doubtful }
}

/** Targets that let the packet go on to the next rule and do nothing that concerns its way. */
const passing = new Set([
  '',
  'LOG',
  'NFLOG',
  'ULOG',
  'CONNMARK',
  'CT',
  'TCPMSS',
  'TEE',
  'CLASSIFY',
  'DSCP',
  'TOS',
  'TTL',
  'HL',
  'CHECKSUM',
  'AUDIT',
  'TRACE',
  'SET',
  'SECMARK',
  'CONNSECMARK',
])

class Walker {
  readonly #chains: RuleChains
  readonly #packet: WalkedPacket
  readonly missing = new Set<string>()
  readonly doubtful: MetRule[] = []

  constructor(chains: RuleChains, packet: WalkedPacket) {
    this.#chains = chains
    this.#packet = packet
  }

  /** Ways that end `through` have come back from the chain. */
  chain(name: string, start: RuleWay): RuleWay[] {
    const rules = this.#chains.get(name)
    if (rules === undefined) {
      // Were it to come back, each of a thousand endpoints would double the ways.
      this.missing.add(name)
      return []
    }
    const done: RuleWay[] = []
    let live = [start]
    for (const rule of rules) {
      live = live.flatMap((way) => {
        const share = this.#share(name, rule, way)
        const rest = way.chance * (1 - share)
        const passed = rest > leastChance ? [{ ...way, chance: rest }] : []
        if (share === 0 || way.chance * share <= leastChance) return passed
        const { ended, going } = this.#take({ chain: name, rule, share }, { ...way, chance: way.chance * share })
        done.push(...ended)
        return [...passed, ...going]
      })
    }
    return [...done, ...live]
  }

  /** What becomes of a packet that meets the conditions. */
  #take(met: MetRule, way: RuleWay): { ended: RuleWay[]; going: RuleWay[] } {
    const said = withoutComment(met.rule)
    const [, how, target = ''] = /(?:^| )-([jg]) (\S+)/.exec(said) ?? []
    const end = endOf(target, said)
    if (end !== undefined) return { ended: [{ ...way, end, met: [...way.met, met] }], going: [] }
    if (target === 'RETURN') return { ended: [way], going: [] }
    if (target === 'MARK') return { ended: [], going: [markedBy(met, way)] }
    if (passing.has(target)) return { ended: [], going: [way] }
    const after = this.chain(target, { ...way, met: [...way.met, met] })
    // A detour that changed nothing is none.
    const back = after
      .filter((each) => each.end.kind === 'through')
      .map((each) => (each.mark === way.mark ? { ...each, met: way.met } : each))
    const ended = after.filter((each) => each.end.kind !== 'through')
    return how === 'g' ? { ended: [...ended, ...back], going: [] } : { ended, going: back }
  }

  /** 1 or 0, or between them where the rule throws dice. */
  #share(chain: string, rule: string, { mark }: RuleWay): number {
    const words = withoutComment(rule).split(/ +/)
    let share = 1
    for (const [i, word] of words.entries()) {
      if (!word.startsWith('-') || harmless.has(word)) continue
      const matches = matchOf(word, words[i + 1] ?? '', { ...this.#packet, mark })
      if (matches === undefined) {
        this.doubtful.push({ chain, rule, share: 0 })
        return 0
      }
      share *= words[i - 1] === '!' ? 1 - matches : matches
      if (share === 0) return 0
    }
    return share
  }
}

function endOf(target: string, rule: string): RuleEnd | undefined {
  switch (target) {
    case 'ACCEPT':
    case 'DROP':
    case 'REJECT':
    case 'MASQUERADE':
      return { kind: target.toLowerCase() as 'accept' }
    case 'DNAT':
      return { kind: 'dnat', to: valueOf(rule, '--to-destination') }
    case 'SNAT':
      return { kind: 'snat', to: valueOf(rule, '--to-source') }
    case 'REDIRECT':
      return { kind: 'redirect', to: valueOf(rule, '--to-ports') }
    default:
      return undefined
  }
}

function markedBy(met: MetRule, way: RuleWay): RuleWay {
  const [value = 0, mask = 0xffffffff] = valueOf(met.rule, '--set-xmark').split('/').map(Number)
  const mark = ((way.mark & ~mask) ^ value) >>> 0
  return mark === way.mark ? way : { ...way, mark, met: [...way.met, met] }
}

function valueOf(rule: string, option: string): string {
  return rule.split(`${option} `)[1]?.split(' ')[0] ?? ''
}

/** In which anything may stand. */
function withoutComment(rule: string): string {
  return rule.replaceAll(/ ?-m comment --comment (?:"(?:[^"\\]|\\.)*"|\S+)/g, '').trim()
}

/** Options that say what a rule does, or what does not concern the first packet. */
const harmless = new Set([
  '-m',
  '-j',
  '-g',
  '--mode',
  '--set',
  '--name',
  '--mask',
  '--rsource',
  '--seconds',
  '--reap',
  '--nfacct-name',
  '--set-xmark',
  '--reject-with',
  '--to-destination',
  '--to-source',
  '--to-ports',
  '--random-fully',
  '--random',
  '--persistent',
  '--log-prefix',
  '--log-level',
  '--nflog-prefix',
  '--nflog-group',
  '--nflog-threshold',
  '--limit',
  '--limit-burst',
  '--clamp-mss-to-pmtu',
  '--set-mss',
  '--save-mark',
  '--restore-mark',
  '--nfmask',
  '--ctmask',
  '--notrack',
  '--zone',
])

/** Undefined for what is not understood. */
function matchOf(word: string, value: string, packet: WalkedPacket): number | undefined {
  switch (word) {
    case '-s':
      return Number(isWithin(value, packet.source))
    case '-d':
      return Number(isWithin(value, packet.destination))
    case '-i':
      return Number(isDevice(value, packet.inDevice))
    case '-o':
      return Number(isDevice(value, packet.outDevice))
    case '-p':
      return Number(value === packet.protocol || value === 'all')
    case '--dport':
    case '--dports':
      return Number(value.split(',').some((range) => isPort(range, packet.port)))
    case '--dst-type':
      return Number(value.split(',').includes(packet.isOwn(packet.destination) ? 'LOCAL' : 'UNICAST'))
    case '--src-type':
      return Number(value.split(',').includes(packet.isOwn(packet.source) ? 'LOCAL' : 'UNICAST'))
    case '--ctstate':
    case '--state':
      return Number(value.split(',').some((state) => state === 'NEW' || (state === 'DNAT' && packet.translated)))
    case '--mark': {
      const [wanted = 0, mask = 0xffffffff] = value.split('/').map(Number)
      return Number((packet.mark & mask) >>> 0 === wanted)
    }
    case '--probability':
      return Number(value)
    // Nobody has been here before.
    case '--rcheck':
    case '--update':
      return 0
    default:
      return undefined
  }
}

function isDevice(pattern: string, device: string | undefined): boolean {
  return pattern.endsWith('+') ? device?.startsWith(pattern.slice(0, -1)) === true : device === pattern
}

function isPort(range: string, port: number): boolean {
  const [low = '', high = low] = range.split(':')
  return port >= Number(low) && port <= Number(high)
}

function isWithin(text: string, address: Address): boolean {
  const [head = '', prefix] = text.split('/')
  const network = canonicalAddress(head)
  if (network === undefined || familyOf(network) !== familyOf(address)) return false
  return cidrContains(cidrOf(network, prefix === undefined ? addressBits(familyOf(network)) : Number(prefix)), address)
}
