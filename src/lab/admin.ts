// The API server as the lab's administrator sees it; from inside the lab alone, where its address leads to it.
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ApiConnection } from '../cluster/api-connection.ts'
import { connectCluster } from '../cluster/connect.ts'
import { controlPlaneLog, isControlPlaneRunning } from './control-plane.ts'
import { kubeconfigOf, type Lab } from './layout.ts'

/** A real API server takes its time on a machine that is busy. */
const answersWithinMs = 120_000

export function connectAsAdmin(lab: Lab): ApiConnection {
  return connectCluster({ kubeconfig: kubeconfigOf(lab, 'admin') })
}

/** @throws {Error} with what the control plane said last, when it ended or does not answer in time. */
export async function waitForApi(lab: Lab): Promise<ApiConnection> {
  const log = controlPlaneLog(lab)
  const deadline = Date.now() + answersWithinMs
  for (;;) {
    try {
      const api = connectAsAdmin(lab)
      await askReadiness(api)
      return api
    } catch (error) {
      // The kubeconfig is written and the port opened by the process we wait for.
      if (!isControlPlaneRunning(lab)) throw new Error(`the control plane ended: ${lastLines(log)}`, { cause: error })
      if (Date.now() > deadline)
        throw new Error(
          `the control plane does not answer (${error instanceof Error ? error.message : String(error)}): see ${log}`,
          { cause: error },
        )
    }
    await sleep(50)
  }
}

/** An API server listens a while before it is ready. @throws {Error} until it is. */
export async function askReadiness(api: ApiConnection): Promise<void> {
  const limits = { signal: new AbortController().signal, headersTimeoutMs: 2000, deadlineMs: 5000 }
  const { status, lines } = await api.stream('/readyz', {}, limits)
  const said: string[] = []
  for await (const line of lines) said.push(line.toString())
  if (status !== 200)
    throw new Error(
      `it answers ${status} to /readyz: ${said.filter((line) => line.startsWith('[-]')).join(', ') || said.join(' ')}`,
    )
}

function lastLines(file: string): string {
  return readFileSync(file, 'utf8').trim().split('\n').slice(-3).join(' | ')
}
