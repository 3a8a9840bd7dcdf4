// `lab control`: API server and controllers. The lab's own API server runs in this process and keeps everything in
// memory; a real one and its etcd are child processes. All of it ends with the process, at the latest with the lab.
import { type Logger, pino } from 'pino'
import { connectCluster } from '../cluster/connect.ts'
import { parseCidr } from '../net/cidr.ts'
import { RouteAnnouncer } from './route-announcer.ts'
import { startApiServer } from './apiserver/server.ts'
import { runControllers } from './controllers/run-controllers.ts'
import { addressOf, auditLogOf, cluster, kubeconfigOf, type Lab, loadBalancerPool, podLogsOf } from './layout.ts'
import { findAssets } from './real-control-plane/assets.ts'
import { startRealControlPlane } from './real-control-plane/real-control-plane.ts'
import { readSettings } from './settings.ts'

/** etcd's default ports: the namespace belongs to the lab. */
const etcdPorts = { etcdPort: 2379, etcdPeerPort: 2380 }

/**
 * Runs until the signal.
 * @throws {Error} when a program of the control plane ended unexpectedly.
 */
export async function runControlPlane(lab: Lab, signal: AbortSignal): Promise<void> {
  const log = pino({ base: null })
  const failure = new AbortController()
  const isReal = readSettings(lab)?.controlPlane === 'envtest'
  await using _server = await (isReal
    ? startRealServer(lab, (error) => failure.abort(error))
    : startOwnServer(lab, log))
  const api = connectCluster({ kubeconfig: kubeconfigOf(lab, 'controllers') })
  const announcer = new RouteAnnouncer(lab, log)
  await runControllers({
    api,
    clusterCidr: cluster.podCidr,
    runNamespaceController: isReal,
    loadBalancerPool,
    announce: (routes) => announcer.announce(routes),
    log,
    signal: AbortSignal.any([signal, failure.signal]),
  })
  failure.signal.throwIfAborted()
}

/** Starts the lab's own server. It also listens on the loopback address, for commands inside the namespace. */
async function startOwnServer(lab: Lab, log: Logger): Promise<AsyncDisposable> {
  return await startApiServer({
    addresses: [addressOf('control'), '127.0.0.1'],
    port: cluster.apiPort,
    dir: lab.directory,
    serviceCidrs: [parseCidr(cluster.serviceCidr)],
    podLogs: podLogsOf(lab),
    auditLog: auditLogOf(lab),
    log,
  })
}

async function startRealServer(lab: Lab, onFailure: (error: Error) => void): Promise<AsyncDisposable> {
  const network = {
    address: addressOf('control'),
    port: cluster.apiPort,
    serviceCidr: cluster.serviceCidr,
    ...etcdPorts,
  }
  return await startRealControlPlane(
    { assets: findAssets(process.env), network, directory: lab.directory, logs: lab.logs },
    onFailure,
  )
}
