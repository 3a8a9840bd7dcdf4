// A real etcd and kube-apiserver for tests: on free ports of the loopback device, in a temporary directory.
import { createServer, type AddressInfo } from 'node:net'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ApiConnection } from '../../src/cluster/api-connection.ts'
import { connectCluster } from '../../src/cluster/connect.ts'
import type { UserName } from '../../src/lab/apiserver/authentication.ts'
import { writeKubeconfig } from '../../src/lab/apiserver/kubeconfig.ts'
import { cluster } from '../../src/lab/layout.ts'
import { grantAccess } from '../../src/lab/real-control-plane/access.ts'
import { etcdUrl } from '../../src/lab/real-control-plane/arguments.ts'
import { findAssets } from '../../src/lab/real-control-plane/assets.ts'
import { writeApiServerFiles } from '../../src/lab/real-control-plane/files.ts'
import { startEtcd, startKubeApiServer } from '../../src/lab/real-control-plane/real-control-plane.ts'

export interface RealApiServer extends AsyncDisposable {
  readonly url: string
  readonly dir: string
  readonly api: ApiConnection
  as(user: UserName): Promise<ApiConnection>
  /** Sends one request to etcd's JSON gateway: "kv/put". */
  etcd(path: string, body: object): Promise<unknown>
  /** Stops the API server, runs `meanwhile`, and starts the API server again. etcd keeps running. */
  restart(meanwhile: () => Promise<unknown>): Promise<void>
}

/** @throws {ConfigError} without KUBEBUILDER_ASSETS. */
export async function startRealApiServer(): Promise<RealApiServer> {
  const assets = findAssets(process.env)
  const dir = await mkdtemp(join(tmpdir(), 'fairlead-real-apiserver-'))
  const [port, etcdPort, etcdPeerPort] = await freePorts()
  const network = { address: '127.0.0.1', port, etcdPort, etcdPeerPort, serviceCidr: cluster.serviceCidr }
  const options = { assets, network, directory: dir, logs: dir }
  const url = `https://127.0.0.1:${port}`
  const files = await writeApiServerFiles(dir, network.address)
  const as = async (user: UserName): Promise<ApiConnection> =>
    connectCluster({ kubeconfig: await writeKubeconfig({ dir, url, user }) })
  const api = await as('admin')

  await using started = new AsyncDisposableStack()
  started.defer(async () => await rm(dir, { recursive: true }))
  started.use(await startEtcd(options))
  let apiServer = await startKubeApiServer(options, files)
  started.defer(async () => await apiServer[Symbol.asyncDispose]())
  await grantAccess(api)
  const all = started.move()
  return {
    url,
    dir,
    api,
    as,
    async etcd(path, body) {
      const answer = await fetch(`${etcdUrl(network)}/v3/${path}`, { method: 'POST', body: JSON.stringify(body) })
      if (!answer.ok) throw new Error(`etcd ${path}: ${await answer.text()}`)
      return await answer.json()
    },
    async restart(meanwhile) {
      await apiServer[Symbol.asyncDispose]()
      await meanwhile()
      apiServer = await startKubeApiServer(options, files)
    },
    [Symbol.asyncDispose]: async () => await all.disposeAsync(),
  }
}

/** Opens three ports at the same time, so that they differ. */
async function freePorts(): Promise<[number, number, number]> {
  const open = async (): Promise<{ port: number; close: () => void }> => {
    const server = createServer()
    await new Promise<void>((resolve, reject) => void server.once('error', reject).listen(0, '127.0.0.1', resolve))
    return { port: (server.address() as AddressInfo).port, close: () => server.close() }
  }
  const [a, b, c] = await Promise.all([open(), open(), open()])
  for (const { close } of [a, b, c]) close()
  return [a.port, b.port, c.port]
}
