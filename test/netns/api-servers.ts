// The API servers that the conformance suite is held against.
import { kubeconfigPath } from '../../src/lab/apiserver/kubeconfig.ts'
import { startScratchApiServer } from '../../src/lab/apiserver/scratch-api-server.ts'

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
]

async function startLab(): Promise<RunningApiServer> {
  const server = await startScratchApiServer({ eventWindow })
  return {
    kubeconfig: kubeconfigPath(server.dir, 'admin'),
    forgetHistory: async () => {
      for (let i = 0; i <= eventWindow; i++) await server.api.request('POST', '/api/v1/namespaces/default/configmaps', { body: { metadata: { generateName: 'later-' } } })
    },
    close: async () => await server[Symbol.asyncDispose](),
  }
}
