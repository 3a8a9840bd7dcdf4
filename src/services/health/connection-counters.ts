// How many connections each Service was given: a chain of table nat sees the first packet of each, so the counters of
// its rules are exact, and cost nothing.
//
// The kernel forgets them when a chain is written anew (one of its endpoints changed); what they said until then is
// kept here, but for what came between the last look and the writing. Looking costs a process each, on iptables-legacy
// in proportion to the whole table: so chains are read one at a time, in turn, and the pause after each grows with what
// the last one cost. A few Services are up to date within seconds, a thousand within the hour; with more no number is
// recent whatever it costs, so it may cost less.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { Iptables } from '../../iptables/iptables.ts'
import { parseLine } from '../../iptables/parse-rule.ts'
import type { ServicePort } from '../service-port.ts'

export interface CountedChain {
  /** KUBE-SVC-... or KUBE-SVL-... */
  readonly chain: string
  readonly port: Pick<ServicePort, 'family' | 'namespace' | 'name' | 'portName' | 'protocol'>
}

export interface ConnectionCount extends CountedChain {
  /** Since the agent began to look. */
  readonly connections: number
}

export interface ConnectionCountersSettings {
  readonly iptables: Pick<Iptables, 'rulesOf'>
  readonly log: Pick<Logger, 'debug'>
  /** ms between two looks at least. */
  readonly leastPauseMs?: number
}

/** Chains. */
const many = 1000

interface Count {
  counted: CountedChain
  total: number
  /** What the kernel said last; undefined before the first look, which only tells where to count from. */
  last: number | undefined
}

export class ConnectionCounters {
  readonly #settings: Required<ConnectionCountersSettings>
  readonly #counts = new Map<string, Count>()
  #turn: string[] = []

  constructor(settings: ConnectionCountersSettings) {
    this.#settings = { leastPauseMs: 200, ...settings }
  }

  /** Which chains there are now. A chain that goes takes its count with it. */
  follow(chains: Iterable<CountedChain>): void {
    const wanted = new Map(Array.from(chains, (counted) => [keyOf(counted), counted]))
    for (const key of this.#counts.keys()) if (!wanted.has(key)) this.#counts.delete(key)
    for (const [key, counted] of wanted) {
      const known = this.#counts.get(key)
      if (known === undefined) this.#counts.set(key, { counted, total: 0, last: undefined })
      else known.counted = counted
    }
  }

  get readings(): readonly ConnectionCount[] {
    return Array.from(this.#counts.values(), ({ counted, total }) => ({ ...counted, connections: total }))
  }

  /** Looks at one chain after another until the signal. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const begin = performance.now()
      await this.lookAtNext().catch((error: unknown) =>
        this.#settings.log.debug({ err: error }, 'the counters of a chain could not be read'),
      )
      const share = this.#counts.size <= many ? 0.0025 : 0.0005
      await sleep(Math.max(this.#settings.leastPauseMs, (performance.now() - begin) / share), undefined, {
        signal,
      }).catch(() => undefined)
    }
  }

  /** Reads the chain whose turn it is. @throws {CommandError} */
  async lookAtNext(): Promise<void> {
    if (this.#turn.length === 0) this.#turn = [...this.#counts.keys()]
    const key = this.#turn.shift()
    const count = key === undefined ? undefined : this.#counts.get(key)
    if (count === undefined) return
    const { chain, port } = count.counted
    const rules = await this.#settings.iptables.rulesOf(port.family, 'nat', chain, { counters: true })
    if (rules === undefined) return
    const now = connectionsIn(rules)
    // Fewer than before: the chain was written anew and counts from nothing.
    if (count.last !== undefined) count.total += now >= count.last ? now - count.last : now
    count.last = now
  }
}

/** The packets that left the chain for an endpoint: those that a rule only marked go on to the next one. */
export function connectionsIn(lines: readonly string[]): number {
  let connections = 0
  for (const line of lines) {
    const { packets, rule } = parseLine(line) ?? {}
    const target = rule?.target?.name
    if (packets !== undefined && target !== undefined && target !== 'KUBE-MARK-MASQ') connections += packets
  }
  return connections
}

function keyOf({ chain, port }: CountedChain): string {
  return `${port.family} ${chain}`
}
