// An agent that does not reach the API server looks whether rules of its own node lead there no more: left by an agent
// that did not protect the API server's address (ADR 32), or by kube-proxy. Only the API server could say that they are
// to go, so the agent takes away those, and those alone.
import type { Logger } from 'pino'
import type { Recovery } from '../cluster/recovery.ts'
import type { Iptables } from '../iptables/iptables.ts'
import { deletionOf, restoreText } from '../iptables/restore-text.ts'
import { type Address, familyOf } from '../net/address.ts'
import { type Clock, systemClock } from '../runtime/clock.ts'
import type { ApiServerPlaces } from './api-server-places.ts'
import type { LiveConfig } from './live-config.ts'
import { interfaceAddresses } from './protected-ports.ts'
import { rulesInTheWay } from './rules-in-the-way.ts'

export interface ApiServerRescueParts {
  readonly live: Pick<LiveConfig, 'current'>
  readonly iptables: Pick<Iptables, 'readTable' | 'restore'>
  readonly places: Pick<ApiServerPlaces, 'places'>
  /** Whether requests to the API server fail now. */
  readonly failing: () => boolean
  /** Whether this agent has reached it before. */
  readonly reached: () => boolean
  readonly recovery: Pick<Recovery, 'announce'>
  readonly log: Pick<Logger, 'warn'>
  readonly clock?: Clock
}

const lookEveryMs = 1000
/** While the API server is away for another reason: a table of 10,000 Services takes seconds to read. */
const searchEveryMs = 300_000
/** The rules were right while it was reached: an API server that restarts is no reason to read them on every node. */
const lostForMs = 60_000

export class ApiServerRescue {
  readonly #parts: ApiServerRescueParts

  constructor(parts: ApiServerRescueParts) {
    this.#parts = parts
  }

  /** Until the signal. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { failing, reached, live, log, clock = systemClock } = this.#parts
    let due: number | undefined
    while (!signal.aborted) {
      const now = clock.now()
      due = failing() ? (due ?? now + (reached() ? lostForMs : 0)) : undefined
      if (due !== undefined && now >= due && live.current.protectNodeTraffic) {
        due = now + searchEveryMs
        await this.#search().catch((error: unknown) => log.warn({ err: error }, 'cannot search the rules of this node'))
      }
      await clock.sleep(lookEveryMs, signal).catch(() => undefined)
    }
  }

  async #search(): Promise<void> {
    const { places, live, recovery, log } = this.#parts
    const own = interfaceAddresses()
    const removed: string[] = []
    for (const family of [4, 6] as const) {
      const here = places.places.filter(({ address }) => familyOf(address) === family)
      if (here.length === 0) continue
      const options = { isOwn: (address: Address) => own.has(address), withServices: live.current.serviceProxy }
      for (const table of ['nat', 'filter'] as const) {
        const lines: string[] = []
        await this.#parts.iptables.readTable(family, table, (line) => lines.push(line))
        const found = rulesInTheWay(table, lines, here, options)
        if (found.length === 0) continue
        await this.#parts.iptables.restore(
          family,
          restoreText([{ table, declare: [], lines: found.map(({ rule }) => deletionOf(rule)) }]),
        )
        removed.push(...found.map(({ rule }) => rule))
      }
    }
    if (removed.length === 0) return
    log.warn({ rules: removed }, 'rules that led the address of the API server elsewhere are removed')
    recovery.announce()
  }
}
