// For tests: an API server on a free port of loopback, with its clients, in a directory that goes with it.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import type { ApiConnection, Query } from '../../cluster/api-connection.ts'
import { connectCluster } from '../../cluster/connect.ts'
import type { UserName } from './authentication.ts'
import { kubeconfigPath } from './kubeconfig.ts'
import { type ApiServerOptions, startApiServer } from './server.ts'

export interface ScratchApiServer extends AsyncDisposable {
  readonly url: string
  readonly dir: string
  readonly api: ApiConnection
  as(user: UserName): ApiConnection
  /** Events of a watch, one by one. */
  watch(path: string, query?: Query): WatchReader
}

export interface SeenEvent {
  readonly type: string
  readonly object: {
    readonly metadata: {
      readonly name?: string
      readonly resourceVersion?: string
      readonly annotations?: Readonly<Record<string, string>>
    }
    readonly code?: number
    readonly reason?: string
  }
}

export interface WatchReader extends AsyncDisposable {
  /** The next event; undefined when the server has ended the watch. */
  next(): Promise<SeenEvent | undefined>
  /** The next `count` events as "TYPE name". */
  take(count: number): Promise<string[]>
}

export async function startScratchApiServer(options: Partial<ApiServerOptions> = {}): Promise<ScratchApiServer> {
  const dir = await mkdtemp(join(tmpdir(), 'fairlead-apiserver-'))
  const server = await startApiServer({
    addresses: ['127.0.0.1'],
    port: 0,
    dir,
    nodes: ['node1'],
    log: pino({ level: 'silent' }),
    ...options,
  })
  const as = (user: UserName): ApiConnection => connectCluster({ kubeconfig: kubeconfigPath(dir, user) })
  const api = as('admin')
  return {
    url: server.url,
    dir,
    api,
    as,
    watch: (path, query = {}) => watchReader(api, path, query),
    async [Symbol.asyncDispose]() {
      await server.close()
      await rm(dir, { recursive: true })
    },
  }
}

function watchReader(api: ApiConnection, path: string, query: Query): WatchReader {
  const abort = new AbortController()
  const limits = { signal: abort.signal, headersTimeoutMs: 20_000, deadlineMs: 60_000 }
  const lines = api
    .stream(path, { watch: true, ...query }, limits)
    .then((stream) => stream.lines[Symbol.asyncIterator]())
  // A test that ends while a read waits has no more interest in it.
  lines.catch(() => undefined)
  const next = async (): Promise<SeenEvent | undefined> => {
    const { value, done } = await (await lines).next()
    return done === true ? undefined : (JSON.parse(value.toString()) as SeenEvent)
  }
  return {
    next,
    async take(count) {
      const seen: string[] = []
      for (let i = 0; i < count; i++) {
        const event = await next()
        seen.push(`${event?.type} ${event?.object.metadata.name}`)
      }
      return seen
    },
    async [Symbol.asyncDispose]() {
      // Reading while it breaks off: an answer that nobody reads would throw its error at the process.
      const iterator = await lines
      const last = iterator.next().catch(() => undefined)
      abort.abort()
      await last
    },
  }
}
