// What the rules do to the first packet of a connection: for tests, which then say where a packet ends and not how a
// rule is spelled.
import type { Protocol } from '../cluster/service.ts'
import { type RuleEnd, type RuleWay, walkRules } from '../iptables/interpreter.ts'
import type { Address } from '../net/address.ts'
import type { Jump } from '../iptables/jumps.ts'
import type { Chains } from '../iptables/rule.ts'
import type { DesiredRules } from './rendered.ts'
import { baseJumps } from './static-chains.ts'

export interface Packet {
  readonly source: Address
  readonly destination: Address
  readonly protocol: Protocol
  readonly port: number
  /** Where it comes in; undefined: a process of the node sends it. */
  readonly device: string | undefined
  /** The node's own addresses. */
  readonly own: readonly Address[]
}

export interface Fate {
  /** "10.244.1.5:8080", what refused it, or `untouched`. */
  readonly end: string
  /** Gets the node's address. */
  readonly masqueraded: boolean
}

/** Each possible fate with its probability. */
export function fatesOf(rules: DesiredRules, packet: Packet): ReadonlyMap<string, { fate: Fate; chance: number }> {
  const fates = new Map<string, { fate: Fate; chance: number }>()
  const chains: Readonly<Record<string, Chains>> = { filter: rules.filter, nat: rules.nat }
  const through = (table: 'filter' | 'nat', base: Jump['base'], mark: number): readonly RuleWay[] => {
    const jumps = baseJumps.filter((jump) => jump.table === table && jump.base === base).map(({ rule }) => rule)
    const { source, destination, protocol, port, device, own } = packet
    const { ways, missing } = walkRules(new Map([...(chains[table] ?? []), [base, jumps]]), base, {
      source,
      destination,
      protocol,
      port,
      inDevice: device,
      isOwn: (address) => own.includes(address),
      mark,
      translated: false,
    })
    if (missing.size > 0) throw new Error(`No chain ${[...missing].join()}`)
    return ways
  }
  const toNode = packet.own.includes(packet.destination)
  const hook = packet.device === undefined ? 'OUTPUT' : toNode ? 'INPUT' : 'FORWARD'
  for (const routed of through('nat', packet.device === undefined ? 'OUTPUT' : 'PREROUTING', 0)) {
    // What table nat has sent elsewhere is no longer what table filter looks for.
    const ends =
      routed.end.kind === 'through'
        ? through('filter', hook, routed.mark).map((way) => ({ ...way, chance: way.chance * routed.chance }))
        : [routed]
    for (const { end, mark, chance } of ends) {
      const fate = { end: endText(end), masqueraded: mark !== 0 }
      const key = JSON.stringify(fate)
      fates.set(key, { fate, chance: chance + (fates.get(key)?.chance ?? 0) })
    }
  }
  return fates
}

function endText(end: RuleEnd): string {
  if ('to' in end) return end.to
  return end.kind === 'through' ? 'untouched' : end.kind.toUpperCase()
}
