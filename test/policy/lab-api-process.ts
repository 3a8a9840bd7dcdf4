// The API server of a running lab, spoken to as its administrator: `nsenter --net=CONTROL node lab-api-process.ts LAB`.
// One JSON object {method, path, body} a line on stdin, one {status, body} a line on stdout. A command line for each of
// hundreds of policies would take longer than they do.
import { createInterface } from 'node:readline'
import { ApiError } from '../../src/cluster/api-error.ts'
import { connectAsAdmin } from '../../src/lab/admin.ts'
import { labNamed } from '../../src/lab/layout.ts'

const api = connectAsAdmin(labNamed(process.argv[2] ?? ''))
for await (const line of createInterface({ input: process.stdin })) {
  const { method, path, body } = JSON.parse(line) as {
    method: 'GET' | 'POST' | 'PATCH' | 'DELETE'
    path: string
    body?: object
  }
  try {
    const contentType = method === 'PATCH' ? { contentType: 'application/merge-patch+json' } : {}
    say({ status: 200, body: await api.request(method, path, body === undefined ? {} : { body, ...contentType }) })
  } catch (error) {
    say(error instanceof ApiError ? { status: error.status, body: error.message } : { status: 0, body: String(error) })
  }
}

function say(answer: object): void {
  process.stdout.write(`${JSON.stringify(answer)}\n`)
}
