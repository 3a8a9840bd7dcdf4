// The Node object: registers it, and keeps its addresses and its Ready condition up to date.
import { setTimeout as sleep } from 'node:timers/promises'
import * as z from 'zod'
import type { ApiConnection } from '../../cluster/api-connection.ts'
import { ApiError } from '../../cluster/api-error.ts'
import { agentAnnotation } from '../layout.ts'
import { type KubeletLog, messageOf } from './kubelet-log.ts'
import { timeOf } from './pod-status.ts'

const retryMs = 300

/** Creates the Node object unless it exists. Retries until the API server accepts it. */
export async function registerNode(
  api: ApiConnection,
  node: string,
  log: KubeletLog,
  signal: AbortSignal,
): Promise<void> {
  const labels = { 'kubernetes.io/hostname': node, 'kubernetes.io/os': 'linux' }
  while (!signal.aborted) {
    try {
      await api.request('POST', '/api/v1/nodes', {
        body: { apiVersion: 'v1', kind: 'Node', metadata: { name: node, labels }, spec: {} },
        signal,
      })
      return
    } catch (error) {
      if (error instanceof ApiError && error.status === 409) return
      log.warn({ error: messageOf(error) }, 'cannot register the node; retrying')
      await sleep(retryMs, undefined, { signal }).catch(() => undefined)
    }
  }
}

export interface Readiness {
  readonly ready: boolean
  readonly message: string
}

/**
 * Writes addresses and the Ready condition into the node's status.
 * @param since the time in ms since the epoch at which the condition changed.
 * @throws {Error} when the API server did not accept it.
 */
export async function writeNodeStatus(
  api: ApiConnection,
  node: { name: string; address: string },
  readiness: Readiness,
  since: number,
): Promise<void> {
  const { ready, message } = readiness
  const condition = {
    type: 'Ready',
    status: ready ? 'True' : 'False',
    reason: ready ? 'KubeletReady' : 'KubeletNotReady',
    message,
    lastHeartbeatTime: timeOf(Date.now()),
    lastTransitionTime: timeOf(since),
  }
  const status = {
    addresses: [
      { type: 'InternalIP', address: node.address },
      { type: 'Hostname', address: node.name },
    ],
    conditions: [condition],
    capacity: { pods: '110' },
    allocatable: { pods: '110' },
    nodeInfo: { kubeletVersion: 'v0.0.0-lab', operatingSystem: 'linux', containerRuntimeVersion: 'fairlead-lab://1' },
  }
  await api.request('PATCH', `/api/v1/nodes/${node.name}/status`, {
    body: { status },
    contentType: 'application/merge-patch+json',
  })
}

const schema = z.object({
  metadata: z.object({ name: z.string(), annotations: z.record(z.string(), z.string()).default({}) }),
})

/** Projects a Node for a reflector: whether its agent must run. */
export function projectAgentWanted(raw: unknown): readonly [name: string, wanted: boolean] {
  const { metadata } = schema.parse(raw)
  return [metadata.name, metadata.annotations[agentAnnotation] !== 'stopped']
}
