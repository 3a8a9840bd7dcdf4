// Checks for addresses with two owners among nodes, pod networks, Services and the links of this node.
import type { AgentStatus } from '../../agent/status-shape.ts'
import type { ClusterNode } from '../../cluster/node.ts'
import { formatCidr, cidrContains, cidrOf, cidrsOverlap } from '../../net/cidr.ts'
import { admit } from '../../overlay/membership.ts'
import { ourGroup } from '../../kernel/kernel.ts'
import type { Check, Finding } from '../check.ts'
import { withoutAgent } from '../check.ts'
import type { NodeFacts } from '../node-facts.ts'
import { splitSentence } from './agent.ts'

/**
 * Checks podCIDRs and addresses of nodes. Nodes with the same podCIDR also have the same VTEP, which follows from it.
 */
export function examineNodes({ agent }: NodeFacts): Check {
  const base = { name: 'nodes', seenAs: 'a node whose pods are unreachable, because another one claims its addresses' }
  if (agent === undefined) return { ...base, findings: [], skipped: withoutAgent }
  const leftOut = agent.leftOut ?? admit(agent.nodes.map(asClusterNode)).leftOut
  return { ...base, findings: leftOut.map(({ problem }) => splitSentence(problem)) }
}

/** Converts a node for an agent whose version does not report which nodes it leaves out: only their age decides. */
function asClusterNode(node: AgentStatus['nodes'][number]): ClusterNode {
  return { ...node, zone: undefined, leaving: false, alive: undefined, networkUnavailable: false, kubeletPort: 10_250 }
}

export function examineNetworks({ agent, links, bridge }: NodeFacts): Check {
  const base = { name: 'networks', seenAs: 'addresses that are reached from some nodes and not from others' }
  if (agent === undefined) return { ...base, findings: [], skipped: withoutAgent }
  const foreign = links.filter(
    ({ name, group }) => group !== ourGroup && name !== bridge && name !== agent.vxlanDevice && name !== 'lo',
  )
  const onLinks = foreign.flatMap(({ name, addresses }) =>
    addresses
      .filter(({ scope }) => scope !== 'link')
      .map(({ address, prefix }) => ({ owner: name, cidr: cidrOf(address, prefix) })),
  )
  const pods = agent.nodes.flatMap(({ name, podCidrs }) => podCidrs.map((cidr) => ({ owner: name, cidr })))
  const podsOnLinks = pods.flatMap((pod): Finding[] => {
    const link = onLinks.find(({ cidr }) => cidrsOverlap(cidr, pod.cidr))
    if (link === undefined) return []
    return [
      {
        problem:
          `podCIDR ${formatCidr(pod.cidr)} of node ${pod.owner} overlaps ${formatCidr(link.cidr)}, ` +
          `which is on ${link.owner} of this node`,
        remedy: `give the pods another --cluster-cidr, or ${link.owner} another network`,
      },
    ]
  })
  const others = [...pods.map(({ owner, cidr }) => ({ owner: `the pods of node ${owner}`, cidr })), ...onLinks]
  const remedy = 'give Services another --service-cluster-ip-range, apart from pods and nodes'
  const blocks = agent.serviceCidrs.flatMap((block): Finding[] => {
    const taken = others.find(({ cidr }) => cidrsOverlap(cidr, block))
    return taken === undefined
      ? []
      : [
          {
            problem:
              `the block of cluster IPs ${formatCidr(block)} overlaps ${formatCidr(taken.cidr)}, ` +
              `which belongs to ${taken.owner}`,
            remedy,
          },
        ]
  })
  // Cluster IPs of unknown blocks are checked one by one.
  const withoutBlock = agent.serviceAddresses.filter(
    (address) => !agent.serviceCidrs.some((block) => cidrContains(block, address)),
  )
  const addresses = withoutBlock.flatMap((address): Finding[] => {
    const taken = others.find(({ cidr }) => cidrContains(cidr, address))
    return taken === undefined
      ? []
      : [
          {
            problem: `cluster IP ${address} lies in ${formatCidr(taken.cidr)}, which belongs to ${taken.owner}`,
            remedy,
          },
        ]
  })
  // All Services of a block have the same remedy, so three findings are enough.
  return { ...base, findings: [...podsOnLinks, ...blocks, ...addresses.slice(0, 3)] }
}
