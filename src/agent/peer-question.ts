// What one node asks another: its agent answers POST /probe (probe.ts) by the node's own address, and by the gateway of
// its pods, which is reached as its pods are.
import { request } from 'node:http'
import * as z from 'zod'
import type { TunnelCounters } from '../kernel/tunnel-counters.ts'
import type { Address } from '../net/address.ts'
import { exchange } from '../runtime/http-exchange.ts'

/** ms: two lost packets of a handshake, which come again after 1 s and 3 s, are borne. */
const patience = 4000
const counters = z.object({ received: z.number(), checksumErrors: z.number() })

export const refused = 'connection refused'

/** @param bytes that go there and come back @returns why it went wrong; undefined where it did not. */
export async function askPeer(host: Address, port: number, bytes: number): Promise<string | undefined> {
  try {
    const { status } = await ask(host, port, bytes)
    return status === 200 ? undefined : `it answers ${status}: its agent is of another version`
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    return code === 'ECONNREFUSED' ? refused : message
  }
}

/** What the node has counted. @returns undefined where it does not answer. */
export async function countersOfPeer(host: Address, port: number): Promise<TunnelCounters | undefined> {
  try {
    return counters.parse(JSON.parse((await ask(host, port, 0)).body))
  } catch {
    return undefined
  }
}

async function ask(host: Address, port: number, bytes: number): Promise<{ status: number; body: string }> {
  const outgoing = request({
    host,
    port,
    method: 'POST',
    path: '/probe',
    agent: false,
    timeout: patience,
    signal: AbortSignal.timeout(2 * patience),
  })
  return await exchange(outgoing, ' '.repeat(bytes))
}
