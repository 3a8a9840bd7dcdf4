// The API server of a test's machine, in a process of its own: `node machine-api-process.ts DIR`. It writes
// DIR/admin.kubeconfig and DIR/agent-n1.kubeconfig, which has the rights of deploy/base, and carries out requests as
// its administrator: one JSON object {method, path, body} a line on stdin, one {status, body} a line on stdout; the
// first line says that it listens. Method STORE puts the body into what the server holds as it is, past everything that
// would refuse it.
import { createInterface } from 'node:readline'
import { pino } from 'pino'
import { ApiError } from '../../src/cluster/api-error.ts'
import { connectCluster } from '../../src/cluster/connect.ts'
import type { KubeObject } from '../../src/lab/apiserver/kube-object.ts'
import { resourceOfKind } from '../../src/lab/apiserver/resources.ts'
import { startApiServer } from '../../src/lab/apiserver/server.ts'

const [dir = ''] = process.argv.slice(2)
await using server = await startApiServer({
  addresses: ['127.0.0.1'],
  port: 6443,
  dir,
  nodes: ['n1'],
  log: pino({ level: 'silent' }),
})
const api = connectCluster({ kubeconfig: `${dir}/admin.kubeconfig` })
say({ status: 200 })
for await (const line of createInterface({ input: process.stdin })) {
  const { method, path, body } = JSON.parse(line) as {
    method: 'GET' | 'POST' | 'PUT' | 'DELETE' | 'STORE'
    path: string
    body?: object
  }
  try {
    if (method === 'STORE') say({ status: 200, body: store(body as KubeObject) })
    else say({ status: 200, body: await api.request(method, path, body === undefined ? {} : { body }) })
  } catch (error) {
    say(error instanceof ApiError ? { status: error.status, body: error.message } : { status: 0, body: String(error) })
  }
}

function store(object: KubeObject): object {
  const resource = resourceOfKind(object.apiVersion, object.kind)
  if (resource === undefined)
    throw new TypeError(`Expected a kind of object that the server knows, got \`${object.kind}\``)
  return server.store.table(resource).put(object).object
}

function say(answer: object): void {
  process.stdout.write(`${JSON.stringify(answer)}\n`)
}
