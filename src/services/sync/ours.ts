// Which chains are ours: kube-proxy's names, since a node has one of us.

export type Table = 'filter' | 'nat' | 'mangle'

const names: Readonly<Record<Table, readonly string[]>> = {
  filter: [
    'KUBE-SERVICES',
    'KUBE-EXTERNAL-SERVICES',
    'KUBE-FORWARD',
    'KUBE-NODEPORTS',
    'KUBE-PROXY-FIREWALL',
    'KUBE-PROXY-CANARY',
  ],
  nat: ['KUBE-SERVICES', 'KUBE-NODEPORTS', 'KUBE-POSTROUTING', 'KUBE-MARK-MASQ', 'KUBE-PROXY-CANARY'],
  mangle: ['KUBE-PROXY-CANARY', 'FAIRLEAD-SERVICES'],
}
const prefixes = /^KUBE-(?:SVC|SVL|EXT|FW|SEP)-/

/**
 * The chain in each table whose absence says that somebody has removed what there was; kube-proxy's, and what tells
 * which backend a node uses.
 */
export const canary = 'KUBE-PROXY-CANARY'
/** In table mangle, empty: says that the KUBE- chains of this node are ours to remove, and not a kube-proxy's. */
export const marker = 'FAIRLEAD-SERVICES'
/** In table filter, kubelet's as well as ours: written where it lacks our rule, never emptied or removed. */
export const shared = 'KUBE-FIREWALL'

/** Whether a chain that we do not want may be removed. */
export function isOurs(table: Table, chain: string): boolean {
  return names[table].includes(chain) || (table === 'nat' && prefixes.test(chain))
}
