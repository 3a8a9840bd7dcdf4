// `lab agent stop|start NODE`: the kubelet stand-in follows this annotation of the Node.
import { existsSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ApiConnection } from '../cluster/api-connection.ts'
import { agentAnnotation, agentPidFile, type Lab, type NodeName } from './layout.ts'

const switchedWithinMs = 20_000

/** Returns when the agent's process has gone, or is there. */
export async function switchAgent(
  lab: Lab,
  api: ApiConnection,
  node: NodeName,
  wanted: 'running' | 'stopped',
): Promise<void> {
  const annotations = { [agentAnnotation]: wanted === 'stopped' ? 'stopped' : null }
  await api.request('PATCH', `/api/v1/nodes/${node}`, {
    body: { metadata: { annotations } },
    contentType: 'application/merge-patch+json',
  })
  const deadline = Date.now() + switchedWithinMs
  while (existsSync(agentPidFile(lab, node)) !== (wanted === 'running')) {
    if (Date.now() > deadline)
      throw new Error(
        `the agent of ${node} is not ${wanted} after ${switchedWithinMs / 1000} s: see ${lab.logs}/agent-${node}.log`,
      )
    await sleep(50)
  }
}
