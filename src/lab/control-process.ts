// `lab control`: API server and controllers in one process. All they keep is in memory and ends with it.
import { pino } from 'pino'
import { connectCluster } from '../cluster/connect.ts'
import { parseCidr } from '../net/cidr.ts'
import { startApiServer } from './apiserver/server.ts'
import { runControllers } from './controllers/run-controllers.ts'
import { RouteAnnouncer } from './announce.ts'
import { addressOf, cluster, kubeconfigOf, type Lab, loadBalancerPool, podLogsOf } from './layout.ts'

/** Runs until the signal. The loopback address is for those who look from inside the namespace. */
export async function runControlPlane(lab: Lab, signal: AbortSignal): Promise<void> {
  const log = pino({ base: null })
  await using _server = await startApiServer({ addresses: [addressOf('control'), '127.0.0.1'], port: cluster.apiPort, dir: lab.directory, serviceCidrs: [parseCidr(cluster.serviceCidr)], podLogs: podLogsOf(lab), log })
  const announcer = new RouteAnnouncer(lab, log)
  await runControllers({
    api: connectCluster({ kubeconfig: kubeconfigOf(lab, 'controllers') }),
    clusterCidr: cluster.podCidr,
    loadBalancerPool,
    announce: (routes) => announcer.announce(routes),
    log,
    signal,
  })
}
