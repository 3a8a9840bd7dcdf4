// Connects to the API server as the lab's administrator. Its address is reachable only from inside the lab.
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ApiConnection } from '../cluster/api-connection.ts'
import { connectCluster } from '../cluster/connect.ts'
import { controlPlaneLog, isControlPlaneRunning } from './control-plane.ts'
import { kubeconfigOf, type Lab } from './layout.ts'

/** ms; a real API server needs long on a busy machine. */
const apiTimeoutMs = 120_000

export function connectAsAdmin(lab: Lab): ApiConnection {
  return connectCluster({ kubeconfig: kubeconfigOf(lab, 'admin') })
}

/**
 * Waits until the API server is ready.
 * @throws {Error} with the control plane's last output when it ended, or does not become ready in time.
 */
export async function waitForApi(lab: Lab): Promise<ApiConnection> {
  const log = controlPlaneLog(lab)
  const deadline = Date.now() + apiTimeoutMs
  for (;;) {
    try {
      const api = connectAsAdmin(lab)
      await checkReadiness(api)
      return api
    } catch (error) {
      // The control plane writes the kubeconfig and opens the port, so both may be missing at first.
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

/**
 * Checks /readyz: an API server accepts connections before it is ready.
 * @throws {Error} when it is not ready.
 */
export async function checkReadiness(api: ApiConnection): Promise<void> {
  const limits = { signal: new AbortController().signal, headersTimeoutMs: 2000, deadlineMs: 5000 }
  const { status, lines } = await api.stream('/readyz', {}, limits)
  const output: string[] = []
  for await (const line of lines) output.push(line.toString())
  if (status !== 200) {
    const failedChecks = output.filter((line) => line.startsWith('[-]')).join(', ')
    throw new Error(`it answers ${status} to /readyz: ${failedChecks || output.join(' ')}`)
  }
}

function lastLines(file: string): string {
  return readFileSync(file, 'utf8').trim().split('\n').slice(-3).join(' | ')
}
