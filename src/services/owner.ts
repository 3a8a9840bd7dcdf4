// Which chains belong to Services: kube-proxy's names, since a node runs one of us.
import type { IptablesTable } from '../iptables/iptables.ts'
import type { Place, RulesOwner } from '../iptables/owner.ts'
import { comment } from '../iptables/matches.ts'
import { normalForm, parseRule } from '../iptables/parse-rule.ts'
import { type Rule, rule } from '../iptables/rule.ts'
import { baseJumps } from './static-chains.ts'

const names: Readonly<Partial<Record<IptablesTable, readonly string[]>>> = {
  filter: ['KUBE-SERVICES', 'KUBE-EXTERNAL-SERVICES', 'KUBE-FORWARD', 'KUBE-NODEPORTS', 'KUBE-PROXY-FIREWALL'],
  nat: ['KUBE-SERVICES', 'KUBE-NODEPORTS', 'KUBE-POSTROUTING', 'KUBE-MARK-MASQ'],
  mangle: ['FAIRLEAD-SERVICES'],
}
const prefixes = /^KUBE-(?:SVC|SVL|EXT|FW|SEP)-/

/** kube-proxy creates this chain in each table and checks that it exists. Fairlead never does (ownership.ts). */
export const canary = 'KUBE-PROXY-CANARY'
/** In table mangle, where no packet meets it: the KUBE- chains of this node are Fairlead's to remove, not kube-proxy's. */
export const marker = 'FAIRLEAD-SERVICES'
export const markerRules: readonly Rule[] = [rule(comment('the KUBE- chains of this node are those of fairlead'))]
/** In table filter, kubelet's as well as ours: our rule is appended where it is missing, and the chain stays. */
export const shared = 'KUBE-FIREWALL'

/** Tells whether a chain that is not wanted may be removed. */
export function isOurs(table: IptablesTable, chain: string): boolean {
  return names[table]?.includes(chain) === true || (table === 'nat' && prefixes.test(chain))
}

/** The jumps that are ours alone, in normal form, by built-in chain. */
const ownJumps = Map.groupBy(
  baseJumps.filter(({ rule }) => rule.target?.name !== shared),
  ({ table, base }) => `${table} ${base}`,
)

function ownsJump({ table, chain }: Place, rule: string): boolean {
  const own = ownJumps.get(`${table} ${chain}`)
  return (
    own?.some(
      (jump) => rule.includes(jump.rule.target?.name ?? '') && normalForm(jump.rule) === normalForm(parseRule(rule)),
    ) === true
  )
}

export const servicesOwner: RulesOwner = {
  name: 'services',
  tables: ['mangle', 'filter', 'nat'],
  bases: [...new Map(baseJumps.map(({ table, base }) => [`${table} ${base}`, { table, chain: base }])).values()],
  owns: isOurs,
  kindOf: (table, chain) => (table === 'filter' && chain === shared ? 'shared' : 'sequence'),
  ownsJump,
  // A flush of either table, or of the chains that every packet passes, shows in these.
  roots: [
    { table: 'filter', chain: 'KUBE-FORWARD' },
    { table: 'nat', chain: 'KUBE-POSTROUTING' },
    { table: 'nat', chain: 'KUBE-MARK-MASQ' },
    { table: 'nat', chain: 'KUBE-SERVICES' },
  ],
  // Table filter is written in two steps; these are few.
  textTables: ['filter', 'mangle'],
  filterInTwoSteps: true,
}
