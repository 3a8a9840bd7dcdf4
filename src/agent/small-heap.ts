// The agent runs for ever and starts once: the start may take memory that is given back when it is over.
import { setTimeout as sleep } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'

/** Every room has done its first pass by then: 10 s with 10,000 Services. */
const startMs = 30_000

/**
 * Has V8 favour memory over speed once the start is over: with 10,000 Services that is 139 MB in place of 166
 * (measured). From the beginning on it would cost such a start two thirds more of CPU. Never rejects.
 */
export async function saveMemoryAfterStart(signal: AbortSignal): Promise<void> {
  await sleep(startMs, undefined, { signal, ref: false }).catch(() => undefined)
  if (!signal.aborted) setFlagsFromString('--optimize-for-size')
}
