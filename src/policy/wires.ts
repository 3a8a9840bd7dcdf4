// What passes a pod's port of the bridge, in a table of its own, `bridge fairlead`: policies know pods by their
// addresses, so a pod that they isolate is held to its own.
//
// A frame from a pod that may not send everything enters the bridge in prerouting, before anything else sees it: if its
// source is not the pod's (IP or, in ARP, what the pod says that it is) it is dropped. Else it would be judged as
// somebody else, or as nobody. A frame to a pod that may not be sent everything leaves the bridge in forward: if it is
// not for the pod's own address, it is a broadcast or a multicast that goes to every port, which the policies of none
// of them would see; it is dropped too. What the node itself sends is not forwarded, and frames of ports of other pods,
// or of other bridges, cost one look-up each.
import { type Family, familyOf } from '../net/address.ts'
import type { LocalPod } from './local-pod.ts'
import { linkTypes } from './link-types.ts'
import type { Subject } from './subjects.ts'
import { ourNftTable } from '../kernel/kernel.ts'
import { addressKey, type PolicyTable, type TableChain, type TableSet } from './table.ts'

export const wireTable = `bridge ${ourNftTable}`

/** Ports, with a counter each of what was dropped there, by what of it was not the pod's own. */
export const countingSets = { source: 'forged', destination: 'strayed' } as const

const families: readonly Family[] = [4, 6]

/** A host that comes to a link says it before it has an address. */
const withoutAddress = ['arp saddr ip 0.0.0.0 accept', 'ip6 saddr :: icmpv6 type { 135, 143 } accept']

const chains: ReadonlyMap<string, TableChain> = new Map([
  [
    'prerouting',
    {
      declaration: 'type filter hook prerouting priority -300; policy accept;',
      rules: [
        'iifname != @senders accept',
        'iifname . ip saddr @sources4 accept',
        'iifname . ip6 saddr @sources6 accept',
        'iifname . arp saddr ip @sources4 accept',
        ...withoutAddress,
        'iifname @forged drop',
        'drop',
      ],
    },
  ],
  [
    'forward',
    {
      declaration: 'type filter hook forward priority 10; policy accept;',
      rules: [
        'oifname != @receivers accept',
        'oifname . ip daddr @targets4 accept',
        'oifname . ip6 daddr @targets6 accept',
        'ether type arp accept',
        `icmpv6 type { ${linkTypes.join(', ')} } accept`,
        'oifname @strayed drop',
        'drop',
      ],
    },
  ],
])

/** Undefined where no pod that we have wired is isolated. */
export function wiresOf(subjects: readonly Subject[]): PolicyTable | undefined {
  const senders = wiresIn(subjects.filter(({ egress }) => egress !== undefined))
  const receivers = wiresIn(subjects.filter(({ ingress }) => ingress !== undefined))
  if (senders.length + receivers.length === 0) return undefined
  const sets = [
    ...setsOf('senders', 'sources', countingSets.source, senders),
    ...setsOf('receivers', 'targets', countingSets.destination, receivers),
  ]
  return { sets: new Map(sets), chains }
}

interface Wire extends LocalPod {
  readonly port: NonNullable<LocalPod['port']>
}

function wiresIn(subjects: readonly Subject[]): readonly Wire[] {
  return subjects.map(({ local }) => local).filter((local): local is Wire => local.port !== undefined)
}

function setsOf(ports: string, addresses: string, counting: string, wires: readonly Wire[]): [string, TableSet][] {
  const set = (name: string, key: string, elements: readonly string[]): [string, TableSet] => [
    name,
    { kind: 'set', declaration: `typeof ${key};`, elements: new Map(elements.map((element) => [element, ''])) },
  ]
  const names = wires.map(({ port }) => port)
  const pairs = (family: Family): string[] =>
    wires.flatMap(({ port, addresses, linkLocal }) =>
      [...addresses, ...(linkLocal === undefined ? [] : [linkLocal])]
        .filter((address) => familyOf(address) === family)
        .map((address) => `${port} . ${address}`),
    )
  return [
    set(ports, 'iifname', names),
    set(counting, 'iifname; counter', names),
    ...families.map((family) => set(`${addresses}${family}`, `iifname . ${addressKey(family)}`, pairs(family))),
  ]
}
