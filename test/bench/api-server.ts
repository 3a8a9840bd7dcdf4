// The API server that a benchmark feeds its agents from: a process of its own, since a fork costs in proportion to the
// memory of who forks.
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import type { ApiConnection } from '../../src/cluster/api-connection.ts'
import { connectCluster } from '../../src/cluster/connect.ts'

export const serverAddress = '192.168.99.254'

export interface BenchApiServer extends AsyncDisposable {
  readonly api: ApiConnection
}

/** With the Node `bench`, and with what an agent finds in its pod to reach it. @param dir for its files */
export async function startBenchApiServer(dir: string, podCidr: string): Promise<BenchApiServer> {
  mkdirSync(dir, { recursive: true })
  execFileSync('ip', ['addr', 'replace', `${serverAddress}/32`, 'dev', 'lo'])
  const server = spawn(
    process.execPath,
    [`${import.meta.dirname}/api-server-process.ts`, dir, podCidr, serverAddress],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  await once(server.stdout, 'data')
  mountServiceAccount(dir)
  return {
    api: connectCluster({ kubeconfig: `${dir}/admin.kubeconfig` }),
    async [Symbol.asyncDispose]() {
      const gone = once(server, 'close')
      server.kill('SIGTERM')
      await gone
    },
  }
}

/** For 1 to count, some at a time. */
export async function each(count: number, work: (n: number) => Promise<unknown>): Promise<void> {
  let next = 1
  const worker = async (): Promise<void> => {
    while (next <= count) await work(next++)
  }
  await Promise.all(Array.from({ length: 16 }, worker))
}

/** What Kubernetes puts into every pod: the agent is measured as the DaemonSet runs it. */
function mountServiceAccount(dir: string): void {
  const kubeconfig = readFileSync(`${dir}/agent-bench.kubeconfig`, 'utf8')
  const field = (name: string): string => new RegExp(`${name}"?: "?([^"\\s]+)`).exec(kubeconfig)?.[1] ?? ''
  const account = '/run/secrets/kubernetes.io/serviceaccount'
  mkdirSync(account, { recursive: true })
  writeFileSync(`${account}/token`, field('token'))
  writeFileSync(`${account}/ca.crt`, Buffer.from(field('certificate-authority-data'), 'base64'))
}
