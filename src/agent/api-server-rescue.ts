// An agent that does not reach the API server looks whether rules of its own node lead there no more: left by an agent
// that did not protect the API server's address (ADR 32), or by kube-proxy. Only the API server could say that they are
// to go, so the agent takes away those, and those alone.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { Recovery } from '../cluster/recovery.ts'
import type { Iptables } from '../iptables/iptables.ts'
import { type Address, familyOf } from '../net/address.ts'
import type { ApiServerPlaces } from './api-server-places.ts'
import type { LiveConfig } from './live-config.ts'
import { interfaceAddresses } from './protected-ports.ts'
import { rulesInTheWay, type TakingRule } from './rules-in-the-way.ts'

export interface ApiServerRescueParts {
  readonly live: LiveConfig
  readonly iptables: Iptables
  readonly places: ApiServerPlaces
  /** Whether requests to the API server fail now. */
  readonly failing: () => boolean
  readonly recovery: Recovery
  readonly log: Logger
}

const lookEveryMs = 1000
/** While the API server is away for another reason: a table of 10,000 Services takes a second to read. */
const searchEveryMs = 300_000

export class ApiServerRescue {
  readonly #parts: ApiServerRescueParts

  constructor(parts: ApiServerRescueParts) {
    this.#parts = parts
  }

  /** Until the signal. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    let searchedAt = -Infinity
    while (!signal.aborted) {
      const { failing, live, log } = this.#parts
      if (!failing()) searchedAt = -Infinity
      else if (live.current.protectNodeTraffic && performance.now() - searchedAt >= searchEveryMs) {
        searchedAt = performance.now()
        await this.#search().catch((error: unknown) => log.warn({ err: error }, 'cannot search the rules of this node'))
      }
      await sleep(lookEveryMs, undefined, { signal }).catch(() => undefined)
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
        await this.#parts.iptables.restore(family, deletionOf(table, found))
        removed.push(...found.map(({ rule }) => rule))
      }
    }
    if (removed.length === 0) return
    log.warn({ rules: removed }, 'rules that led the address of the API server elsewhere are removed')
    recovery.announce()
  }
}

function deletionOf(table: TakingRule['table'], found: readonly TakingRule[]): string {
  return `*${table}\n${found.map(({ rule }) => rule.replace(/^-A /, '-D ')).join('\n')}\nCOMMIT\n`
}
