// Asks the agent over its socket: GET /status and GET /lookup.
import { request } from 'node:http'
import { exchange } from '../runtime/http-exchange.ts'
import { type Found, lookupShape } from '../agent/lookup-shape.ts'
import { type AgentStatus, agentStatusShape } from '../agent/status-shape.ts'

/**
 * Reads the agent's status.
 * @param timeoutMs ms to wait for the response; 5 s by default.
 * @returns the JSON as the agent sent it.
 * @throws {Error} when no agent answers, or one whose version has no status.
 */
export async function statusText(stateDir: string, timeoutMs?: number): Promise<string> {
  return get(stateDir, '/status', timeoutMs)
}

/** @throws {Error} when the text is not a status. */
export function parseStatus(text: string): AgentStatus {
  return agentStatusShape.parse(JSON.parse(text))
}

/**
 * Looks up names or addresses, with as many requests as they need.
 * @throws {Error} as {@link statusText} does.
 */
export async function lookUpAll(stateDir: string, wanted: readonly string[]): Promise<readonly Found[]> {
  const found: Found[] = []
  for (let i = 0; i < wanted.length; i += maxNames) {
    const query = new URLSearchParams(wanted.slice(i, i + maxNames).map((of): [string, string] => ['of', of]))
    found.push(...lookupShape.parse(JSON.parse(await get(stateDir, `/lookup?${query.toString()}`))))
  }
  return found
}

/** Names in one request: Node.js rejects requests with more than 16 KB of headers. */
const maxNames = 50

async function get(stateDir: string, path: string, timeoutMs = 5000): Promise<string> {
  const { status, body } = await exchange(request({ socketPath: `${stateDir}/cni.sock`, path, timeout: timeoutMs }))
  if (status !== 200) throw new Error(`it answers ${status}: its version does not know GET ${path.replace(/\?.*/, '')}`)
  return body
}
