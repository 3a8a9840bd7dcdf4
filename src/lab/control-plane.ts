// The control plane: API server and controllers in one process, in a namespace of its own. All it keeps is in memory and ends with it.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pino } from 'pino'
import type { ApiConnection } from '../cluster/api-connection.ts'
import { connectCluster } from '../cluster/connect.ts'
import { parseCidr } from '../net/cidr.ts'
import { startApiServer } from './apiserver/server.ts'
import { runControllers } from './controllers/run-controllers.ts'
import { addressOf, cluster, kubeconfigOf, type Lab, namespacePath } from './layout.ts'
import { isIn, startDetached, thisProgram } from './processes.ts'

export function startControlPlane(lab: Lab): void {
  const command = ['nsenter', `--net=${namespacePath(lab, 'control')}`, '--', ...thisProgram('lab', 'control', '--name', lab.name)]
  const pid = startDetached(command, { log: logFile(lab) })
  writeFileSync(pidFile(lab), `${pid}\n`)
}

export function isControlPlaneRunning(lab: Lab): boolean {
  try {
    return isIn(lab, 'control', Number(readFileSync(pidFile(lab), 'utf8')))
  } catch {
    return false
  }
}

/** The process itself, until the signal. */
export async function runControlPlane(lab: Lab, signal: AbortSignal): Promise<void> {
  const log = pino({ base: null })
  const server = await startApiServer({ addresses: [addressOf('control'), '127.0.0.1'], port: cluster.apiPort, dir: lab.directory, serviceCidrs: [parseCidr(cluster.serviceCidr)], log })
  try {
    await runControllers({ api: connectCluster({ kubeconfig: kubeconfigOf(lab, 'controllers') }), clusterCidr: cluster.podCidr, log, signal })
  } finally {
    await server.close()
  }
}

/** As admin; from inside the lab alone, where the API server's address leads to it. */
export function connectAsAdmin(lab: Lab): ApiConnection {
  return connectCluster({ kubeconfig: kubeconfigOf(lab, 'admin') })
}

/** @throws {Error} with what the control plane said last, when it ended or does not answer in time. */
export async function waitForControlPlane(lab: Lab): Promise<ApiConnection> {
  const deadline = Date.now() + 30_000
  for (;;) {
    try {
      const api = connectAsAdmin(lab)
      await api.request('GET', '/version', { headersTimeoutMs: 2000 })
      return api
    } catch (error) {
      if (!isControlPlaneRunning(lab)) throw new Error(`the control plane ended: ${lastLines(logFile(lab))}`, { cause: error })
      if (Date.now() > deadline) throw new Error(`the control plane does not answer (${error instanceof Error ? error.message : String(error)}): see ${logFile(lab)}`, { cause: error })
    }
    await sleep(50)
  }
}

function lastLines(file: string): string {
  return readFileSync(file, 'utf8').trim().split('\n').slice(-3).join(' | ')
}

function logFile(lab: Lab): string {
  return join(lab.logs, 'control.log')
}

function pidFile(lab: Lab): string {
  return join(lab.directory, 'control.pid')
}
