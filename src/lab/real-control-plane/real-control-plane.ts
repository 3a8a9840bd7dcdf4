// The control plane with a real etcd and kube-apiserver in place of the lab's own API server. Certificates, users and
// kubeconfigs are the lab's own, so that everything else in the lab is the same on either.
import { join } from 'node:path'
import { connectCluster } from '../../cluster/connect.ts'
import { askReadiness } from '../admin.ts'
import { kubeconfigPath, writeKubeconfig } from '../apiserver/kubeconfig.ts'
import { grantAccess } from './access.ts'
import {
  apiServerArguments,
  type ApiServerFiles,
  type ControlPlaneNetwork,
  etcdArguments,
  etcdUrl,
} from './arguments.ts'
import type { Assets } from './assets.ts'
import { writeApiServerFiles } from './files.ts'
import { Program } from './program.ts'

export interface RealControlPlaneOptions {
  readonly assets: Assets
  readonly network: ControlPlaneNetwork
  /** Kubeconfigs go here, and into folders below it what the two programs read and keep. */
  readonly directory: string
  readonly logs: string
}

/**
 * The API server writes roles and namespaces into an empty etcd first; on a machine that is busy otherwise it takes
 * long.
 */
const readyWithinMs = 120_000

/**
 * Resolves when the API server is ready and every user may do what they have to.
 * @param onFailure told once when one of the programs has ended. @throws {Error} with the log to look into.
 */
export async function startRealControlPlane(
  options: RealControlPlaneOptions,
  onFailure: (error: Error) => void,
): Promise<AsyncDisposable> {
  const { network, directory } = options
  const files = await writeApiServerFiles(directory, network.address)
  const url = `https://${network.address}:${network.port}`
  for (const user of ['controllers', 'admin'] as const) await writeKubeconfig({ dir: directory, url, user })
  await using programs = new AsyncDisposableStack()
  const etcd = programs.use(await startEtcd(options))
  const apiServer = programs.use(await startKubeApiServer(options, files))
  await grantAccess(connectCluster({ kubeconfig: kubeconfigPath(directory, 'admin') }))
  void Promise.race([etcd.ended, apiServer.ended]).then(onFailure)
  return programs.move()
}

export async function startEtcd({ assets, network, directory, logs }: RealControlPlaneOptions): Promise<Program> {
  const etcd = new Program({
    name: 'etcd',
    file: assets.etcd,
    args: etcdArguments(join(directory, 'etcd'), network),
    log: join(logs, 'etcd.log'),
  })
  return await whenReady(etcd, async () => await fetch(`${etcdUrl(network)}/health`))
}

/** Needs the administrator's kubeconfig, to ask whether it is ready. */
export async function startKubeApiServer(
  { assets, network, directory, logs }: RealControlPlaneOptions,
  files: ApiServerFiles,
): Promise<Program> {
  const apiServer = new Program({
    name: 'kube-apiserver',
    file: assets.apiServer,
    args: apiServerArguments(files, network),
    log: join(logs, 'kube-apiserver.log'),
  })
  const api = connectCluster({ kubeconfig: kubeconfigPath(directory, 'admin') })
  return await whenReady(apiServer, async () => await askReadiness(api))
}

async function whenReady(program: Program, ask: () => Promise<unknown>): Promise<Program> {
  try {
    await program.untilReady(ask, readyWithinMs)
    return program
  } catch (error) {
    await program[Symbol.asyncDispose]()
    throw error
  }
}
