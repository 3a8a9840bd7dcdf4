// GET /status on the agent's socket.
import { request } from 'node:http'
import { type AgentStatus, agentStatusShape } from '../agent/status-shape.ts'
import { exchange } from './exchange.ts'

/** @throws {Error} where no agent answers, or one of a version that knows no status. */
export async function askAgent(stateDir: string): Promise<AgentStatus> {
  const { status, body } = await exchange(request({ socketPath: `${stateDir}/cni.sock`, path: '/status', timeout: 5000 }))
  if (status !== 200) throw new Error(`it answers ${status}: it is of a version before this program's, or of one that does not know GET /status`)
  return agentStatusShape.parse(JSON.parse(body))
}
