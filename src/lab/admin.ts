// The API server as the lab's administrator sees it; from inside the lab alone, where its address leads to it.
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ApiConnection } from '../cluster/api-connection.ts'
import { connectCluster } from '../cluster/connect.ts'
import { controlPlaneLog, isControlPlaneRunning } from './control-plane.ts'
import { kubeconfigOf, type Lab } from './layout.ts'

const answersWithinMs = 30_000

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
      await api.request('GET', '/version', { headersTimeoutMs: 2000 })
      return api
    } catch (error) {
      // The kubeconfig is written and the port opened by the process we wait for.
      if (!isControlPlaneRunning(lab)) throw new Error(`the control plane ended: ${lastLines(log)}`, { cause: error })
      if (Date.now() > deadline) throw new Error(`the control plane does not answer (${error instanceof Error ? error.message : String(error)}): see ${log}`, { cause: error })
    }
    await sleep(50)
  }
}

function lastLines(file: string): string {
  return readFileSync(file, 'utf8').trim().split('\n').slice(-3).join(' | ')
}
