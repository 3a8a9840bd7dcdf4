// The lab's API server for tests: on a free port of the loopback device, in a temporary directory, with clients.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import type { ApiConnection, Query } from '../../src/cluster/api-connection.ts'
import { connectCluster } from '../../src/cluster/connect.ts'
import type { UserName } from '../../src/lab/apiserver/authentication.ts'
import { kubeconfigPath } from '../../src/lab/apiserver/kubeconfig.ts'
import { type ApiServerOptions, startApiServer } from '../../src/lab/apiserver/server.ts'

export interface TestApiServer extends AsyncDisposable {
  readonly url: string
  readonly dir: string
  readonly api: ApiConnection
  as(user: UserName): ApiConnection
  /** Opens a watch whose events are read one by one. */
  watch(path: string, query?: Query): WatchReader
}

export interface ReceivedEvent {
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
  /** Returns the next event; undefined when the server has ended the watch. */
  next(): Promise<ReceivedEvent | undefined>
  /** Returns the next `count` events as "TYPE name". */
  take(count: number): Promise<string[]>
}

export async function startTestApiServer(options: Partial<ApiServerOptions> = {}): Promise<TestApiServer> {
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
  // A test may end before its watch has been answered.
  lines.catch(() => undefined)
  const next = async (): Promise<ReceivedEvent | undefined> => {
    const { value, done } = await (await lines).next()
    return done === true ? undefined : (JSON.parse(value.toString()) as ReceivedEvent)
  }
  return {
    next,
    async take(count) {
      const received: string[] = []
      for (let i = 0; i < count; i++) {
        const event = await next()
        received.push(`${event?.type} ${event?.object.metadata.name}`)
      }
      return received
    },
    async [Symbol.asyncDispose]() {
      // Keep a read pending during the abort: without a reader the error would reach the process as unhandled.
      const iterator = await lines
      const last = iterator.next().catch(() => undefined)
      abort.abort()
      await last
    },
  }
}
