// The control plane with a real etcd and kube-apiserver instead of the lab's own API server. It uses the lab's
// certificates, users and kubeconfigs, so the rest of the lab is the same with both.
import { join } from 'node:path'
import { connectCluster } from '../../cluster/connect.ts'
import { checkReadiness } from '../admin.ts'
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
  /** The folder for kubeconfigs, with subfolders for the files of both programs. */
  readonly directory: string
  readonly logs: string
}

/** ms; the API server first writes roles and namespaces into an empty etcd, which takes long on a busy machine. */
const readyTimeoutMs = 120_000

/**
 * Resolves when the API server is ready and all users have their rights.
 * @param onFailure called once when one of the programs has ended.
 * @throws {Error} that names the log.
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

/** Starts the API server. The administrator's kubeconfig must exist, because it is used for the readiness check. */
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
  return await whenReady(apiServer, async () => await checkReadiness(api))
}

async function whenReady(program: Program, probe: () => Promise<unknown>): Promise<Program> {
  try {
    await program.untilReady(probe, readyTimeoutMs)
    return program
  } catch (error) {
    await program[Symbol.asyncDispose]()
    throw error
  }
}
