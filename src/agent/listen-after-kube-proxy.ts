// The addresses of health and metrics are those of kube-proxy, so that whoever asks it goes on asking us. On a node whose
// Services change hands it may still hold them when the agent starts.
import type { RequestListener } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import { listen, parseListenAddress } from '../runtime/http-listener.ts'
import { kubeProxyAt } from './kube-proxy-probe.ts'

export interface ListenOptions {
  /** False: an address that is taken is always an error. */
  readonly mayWait: boolean
  /** Receives the port while we answer there. */
  readonly ownPorts: Set<number>
  readonly log: Logger
}

const periodMs = 1000

/**
 * Listens until disposed. Where a kube-proxy holds the address, returns at once and listens as soon as it is free.
 * @param address "ADDRESS:PORT"
 * @throws the listen error, where the address is taken by another program
 */
export async function listenAfterKubeProxy(
  address: string,
  handler: RequestListener,
  options: ListenOptions,
): Promise<AsyncDisposable> {
  const at = parseListenAddress(address)
  const open = async (): Promise<AsyncDisposable> => {
    const listener = await listen(at, handler)
    options.ownPorts.add(at.port)
    return listener
  }
  try {
    return await open()
  } catch (error) {
    const isHeld = options.mayWait && isTaken(error) && (await kubeProxyAt({ ...at, host: at.host ?? '127.0.0.1' }))
    if (isHeld === false || isHeld === undefined) throw error
  }
  options.log.warn({ address }, 'kube-proxy holds this address: the agent answers there once kube-proxy has ended')
  const ending = new AbortController()
  const opened = openWhenFree(open, ending.signal).then((listener) => {
    if (listener !== undefined) options.log.info({ address }, 'the agent answers at this address now')
    return listener
  })
  return {
    [Symbol.asyncDispose]: async () => {
      ending.abort()
      await (await opened)?.[Symbol.asyncDispose]()
    },
  }
}

async function openWhenFree(
  open: () => Promise<AsyncDisposable>,
  signal: AbortSignal,
): Promise<AsyncDisposable | undefined> {
  while (!signal.aborted) {
    await sleep(periodMs, undefined, { signal, ref: false }).catch(() => undefined)
    try {
      if (!signal.aborted) return await open()
    } catch (error) {
      if (!isTaken(error)) throw error
    }
  }
}

function isTaken(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'EADDRINUSE'
}
