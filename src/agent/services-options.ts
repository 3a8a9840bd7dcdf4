// The agent's configuration, as far as Services depend on it, in the words of their room.
import type { Cidr } from '../net/cidr.ts'
import type { DetectLocal, ServicesOptions } from '../services/options.ts'
import type { AgentConfig } from './config.ts'

/**
 * @param found tcpBeLiberal: conntrack takes packets outside of a connection's window for good ones; serviceCidrs: all
 * blocks that ClusterIPs are taken from
 */
export function servicesOptions(
  config: AgentConfig,
  { tcpBeLiberal = false, serviceCidrs = [] }: { tcpBeLiberal?: boolean; serviceCidrs?: readonly Cidr[] },
): ServicesOptions {
  const { layout, treeFrom, masqueradeAll, masqueradeBit, nodePortAddresses, localhostNodePorts } = config
  return {
    layout,
    treeFrom,
    masqueradeAll,
    masqueradeBit,
    nodePortAddresses,
    localhostNodePorts,
    detectLocal: detectLocal(config),
    refusedBlocks: config.refuseUnassigned ? serviceCidrs : [],
    tcpBeLiberal,
    nfacct: false,
  }
}

function detectLocal({
  detectLocal: way,
  detectLocalPrefix: prefix,
  clusterCIDR: cidrs,
  bridge,
}: AgentConfig): DetectLocal {
  if (prefix !== undefined) return { by: 'prefix', prefix }
  if (way === 'bridge') return { by: 'bridge', name: bridge }
  return way === 'clusterCIDR' || (way === 'auto' && cidrs.length > 0)
    ? { by: 'clusterCidr', cidrs }
    : { by: 'nodeCidr' }
}
