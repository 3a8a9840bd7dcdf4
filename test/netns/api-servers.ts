// The API servers that the conformance suite is held against: the lab's own, and the real one where KUBEBUILDER_ASSETS
// says where it is.
import { kubeconfigPath } from '../../src/lab/apiserver/kubeconfig.ts'
import { startTestApiServer } from '../support/lab-api-server.ts'
import { startRealApiServer } from '../support/real-api-server.ts'

export interface RunningApiServer {
  /** Path of the administrator's kubeconfig. */
  readonly kubeconfig: string
  /** Makes every version up to now too old to watch from. */
  forgetHistory(): Promise<void>
  close(): Promise<void>
}

export interface ApiServerUnderTest {
  readonly name: string
  /** Why it cannot be had here. */
  readonly missing: string | undefined
  readonly start: () => Promise<RunningApiServer>
}

/** Changes of a resource that the lab's server is told to keep. */
const eventWindow = 30

export const apiServers: readonly ApiServerUnderTest[] = [
  { name: 'the lab', missing: undefined, start: startLab },
  {
    name: 'the real kube-apiserver',
    missing: process.env['KUBEBUILDER_ASSETS'] ? undefined : 'needs KUBEBUILDER_ASSETS',
    start: startReal,
  },
]

async function startLab(): Promise<RunningApiServer> {
  const server = await startTestApiServer({ eventWindow })
  return {
    kubeconfig: kubeconfigPath(server.dir, 'admin'),
    forgetHistory: async () => {
      for (let i = 0; i <= eventWindow; i++)
        await server.api.request('POST', '/api/v1/namespaces/default/configmaps', {
          body: { metadata: { generateName: 'later-' } },
        })
    },
    close: async () => await server[Symbol.asyncDispose](),
  }
}

/** A restarted server knows only what etcd kept. */
async function startReal(): Promise<RunningApiServer> {
  const server = await startRealApiServer()
  return {
    kubeconfig: kubeconfigPath(server.dir, 'admin'),
    forgetHistory: async () => {
      const later = await server.api.request<{ metadata: { resourceVersion: string } }>(
        'POST',
        '/api/v1/namespaces/default/configmaps',
        { body: { metadata: { generateName: 'later-' } } },
      )
      await server.restart(
        async () => await server.etcd('kv/compaction', { revision: later.metadata.resourceVersion, physical: true }),
      )
    },
    close: async () => await server[Symbol.asyncDispose](),
  }
}
