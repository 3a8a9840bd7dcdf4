// The rules in built-in chains that lead to ours (static-chains.ts), put in and taken out.
//
// They stand at the top. KUBE-PROXY-FIREWALL drops what source ranges exclude, KUBE-SERVICES refuses what has no
// endpoint, and a rule of another program before them (FAIRLEAD-FORWARD, a firewall's ACCEPT) would let such a packet
// pass; table nat must choose the endpoint before a host port can take the connection.
import type { IptablesTable } from '../../iptables/iptables.ts'
import { baseJumps } from '../static-chains.ts'
import { isSameRule } from './canonical-rule.ts'

/** The built-in chains that hold a jump of ours. */
export function basesOf(table: IptablesTable): string[] {
  return [...new Set(baseJumps.filter((jump) => jump.table === table).map(({ base }) => base))]
}

/** What the built-in chains of a table hold: chain -> its rules without `-A CHAIN`. */
export type ObservedBases = ReadonlyMap<string, readonly string[]>

/**
 * Lines that put in what is missing, each in its place among ours. One that is there stays where it is: others may have
 * put theirs before it on purpose.
 */
export function missingJumps(table: IptablesTable, observed: ObservedBases): string[] {
  return basesOf(table).flatMap((base) => {
    const rules = [...(observed.get(base) ?? [])]
    let position = 0
    return baseJumps
      .filter((jump) => jump.table === table && jump.base === base)
      .flatMap(({ rule }) => {
        const found = rules.findIndex((printed) => isSameRule(rule, printed))
        if (found !== -1) {
          position = Math.max(position, found + 1)
          return []
        }
        rules.splice(position, 0, rule)
        position += 1
        return [`-I ${base} ${position} ${rule}`]
      })
  })
}

/** Lines that take out every one of ours, doubled ones too. */
export function jumpRemovals(table: IptablesTable, observed: ObservedBases): string[] {
  // KUBE-FIREWALL is kubelet's too.
  const ours = baseJumps.filter((jump) => jump.table === table && jump.target !== 'KUBE-FIREWALL')
  return ours.flatMap(({ base, rule }) =>
    (observed.get(base) ?? []).filter((printed) => isSameRule(rule, printed)).map((printed) => `-D ${base} ${printed}`),
  )
}
