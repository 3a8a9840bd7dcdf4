// GET /status and GET /lookup on the agent's socket.
import { request } from 'node:http'
import { exchange } from '../runtime/http-exchange.ts'
import { type Found, lookupShape } from '../agent/lookup-shape.ts'
import { type AgentStatus, agentStatusShape } from '../agent/status-shape.ts'

/** As it was sent: JSON. @throws {Error} where no agent answers, or one of a version that knows no status. */
export async function statusText(stateDir: string, patienceMs?: number): Promise<string> {
  return get(stateDir, '/status', patienceMs)
}

/** @throws {Error} where it is not of the shape, too. */
export function parseStatus(text: string): AgentStatus {
  return agentStatusShape.parse(JSON.parse(text))
}

/** Names or addresses, as many as a request line holds. @throws {Error} as {@link statusText} does. */
export async function lookUpAll(stateDir: string, wanted: readonly string[]): Promise<readonly Found[]> {
  const found: Found[] = []
  for (let i = 0; i < wanted.length; i += namesAtOnce) {
    const query = new URLSearchParams(wanted.slice(i, i + namesAtOnce).map((of): [string, string] => ['of', of]))
    found.push(...lookupShape.parse(JSON.parse(await get(stateDir, `/lookup?${query.toString()}`))))
  }
  return found
}

/** Node refuses requests whose headers have more than 16 KB. */
const namesAtOnce = 50

async function get(stateDir: string, path: string, patienceMs = 5000): Promise<string> {
  const { status, body } = await exchange(request({ socketPath: `${stateDir}/cni.sock`, path, timeout: patienceMs }))
  if (status !== 200)
    throw new Error(`it answers ${status}: it is of a version that does not know GET ${path.replace(/\?.*/, '')}`)
  return body
}
