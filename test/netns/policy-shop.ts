// The policies of a shop, on the node of rules-node.ts: shop/web and shop/db are its two pods.
import { parseInterfaceName } from '../../src/net/interface-name.ts'
import type { LocalPod } from '../../src/policy/local-pod.ts'
import { Policies } from '../../src/policy/policies.ts'
import { ScratchCluster, wired } from '../../src/policy/scratch-cluster.ts'
import type { PolicySettings } from '../../src/policy/settings.ts'
import { remotePod, type RulesNode } from './rules-node.ts'
import { testLog } from './scratch.ts'

export const settings: PolicySettings = { nodeName: 'n1', families: [4, 6], judgeOpenConnections: true, log: undefined }
export const [web, db] = ['10.244.1.5', '10.244.1.6']
export const locals = [wired('shop/web', web, 'fd00:244:1::5'), wired('shop/db', db, 'fd00:244:1::6')]
/** The same, with the ports of the bridge that they are at. */
export const onWires = locals.map((local, i) => ({ ...local, port: parseInterfaceName(`pod${5 + i}`) }))

/** shop/web and shop/db on this node, shop/far on another. */
export function shop(): ScratchCluster {
  return new ScratchCluster()
    .namespace('shop', 'team=a')
    .pod('shop/web', { labels: 'app=web' })
    .pod('shop/db', { labels: 'app=db', ports: [{ name: 'sql', containerPort: 9000 }] })
    .pod('shop/far', { labels: 'app=far', node: 'n2', address: remotePod })
}

export async function enforced(
  net: RulesNode,
  cluster: ScratchCluster,
  changes: Partial<PolicySettings> = {},
  pods: readonly LocalPod[] = locals,
): Promise<Policies> {
  const policies = new Policies({ kernel: net.node.kernel, log: testLog })
  policies.configure({ ...settings, ...changes })
  await policies.sync(cluster.snapshots, pods)
  return policies
}
