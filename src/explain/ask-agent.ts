// GET /status on the agent's socket.
import { request } from 'node:http'
import { type AgentStatus, agentStatusShape } from '../agent/status-shape.ts'
import { exchange } from './exchange.ts'

/** As it was sent: JSON. @throws {Error} where no agent answers, or one of a version that knows no status. */
export async function statusText(stateDir: string): Promise<string> {
  const { status, body } = await exchange(request({ socketPath: `${stateDir}/cni.sock`, path: '/status', timeout: 5000 }))
  if (status !== 200) throw new Error(`it answers ${status}: it is of a version that does not know GET /status`)
  return body
}

/** @throws {Error} where it is not of the shape, too. */
export function parseStatus(text: string): AgentStatus {
  return agentStatusShape.parse(JSON.parse(text))
}
