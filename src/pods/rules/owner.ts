// Which chains belong to the pod network, and how they stand among those of other programs.
import type { Place, RulesOwner } from '../../iptables/owner.ts'
import { parseRule } from '../../iptables/parse-rule.ts'

/**
 * Every chain that the pod network ever makes: what is not desired of these is removed. A name that was once in a
 * release stays here.
 */
const chains: readonly Place[] = [
  { table: 'mangle', chain: 'FAIRLEAD-LOCALNET' },
  { table: 'filter', chain: 'FAIRLEAD-FORWARD' },
  { table: 'nat', chain: 'FAIRLEAD-EGRESS' },
  { table: 'nat', chain: 'FAIRLEAD-HOSTPORTS' },
  { table: 'nat', chain: 'FAIRLEAD-HOSTPORT-DNAT' },
  { table: 'nat', chain: 'FAIRLEAD-HOSTPORT-MASQ' },
]

function owns(table: string, chain: string): boolean {
  return chains.some((own) => own.table === table && own.chain === chain)
}

export const podRulesOwner: RulesOwner & { readonly chains: readonly Place[] } = {
  name: 'pod network',
  tables: ['mangle', 'filter', 'nat'],
  // Read chain by chain: a whole table takes seconds where kube-proxy keeps ten thousand Services in it.
  chains,
  bases: [
    { table: 'mangle', chain: 'PREROUTING' },
    { table: 'filter', chain: 'FORWARD' },
    { table: 'nat', chain: 'PREROUTING' },
    { table: 'nat', chain: 'OUTPUT' },
    { table: 'nat', chain: 'POSTROUTING' },
  ],
  owns,
  // No two host ports match the same packet: single rules come and go.
  kindOf: (_, chain) => (chain === 'FAIRLEAD-HOSTPORT-DNAT' ? 'set' : 'sequence'),
  ownsJump: ({ table }, rule) => rule.includes('FAIRLEAD-') && owns(table, parseRule(rule).target?.name ?? ''),
  jumpsBehind: 'KUBE-',
  roots: chains,
  textTables: ['mangle', 'filter', 'nat'],
  filterInTwoSteps: false,
}
