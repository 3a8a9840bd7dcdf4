// Which UDP flows lead nowhere after a change. A UDP client that keeps its port keeps its conntrack entry, and with it
// the endpoint that it was once given, for as long as it sends; TCP notices by itself. So entries of endpoints that
// serve no longer are deleted, also where a Service has none left, and so are entries from the time when nothing
// answered at a frontend: they go past us to the address itself. As with TCP, flows stay with an endpoint that ends but
// serves, and with one that new connections are no longer led to.
import type { Address } from '../net/address.ts'
import { canonicalAddress } from '../net/address.ts'
import type { ConntrackFilter } from '../kernel/conntrack.ts'
import type { Frontend, RenderedPort, Rules } from './rendered.ts'

export class UdpFlows {
  /** "10.244.1.5:53" -> for how many UDP service ports it serves. An address without port: the sum over its ports. */
  readonly #uses = new Map<string, number>()
  #stale: ConntrackFilter[] = []

  /** To be called with what a Service's ports were and are; {@link take} then says what to forget. */
  change(before: readonly RenderedPort[], after: readonly RenderedPort[]): void {
    const [were, are] = [before.filter(isUdp).map(describe), after.filter(isUdp).map(describe)]
    if (were.length + are.length === 0) return
    for (const { targets } of are) for (const target of targets) this.#count(target, 1)
    for (const { targets } of were) for (const target of targets) this.#count(target, -1)
    const served = new Map(are.map((port) => [port.key, port]))
    for (const { key, targets, frontends } of were) {
      const now = served.get(key)
      const gone = [...targets].filter((target) => !now?.targets.has(target))
      this.#stale.push(...gone.flatMap((target) => this.#flowsTo(target, frontends)))
    }
    const known = new Set(were.flatMap(({ frontends }) => frontends.map(place)))
    const fresh = are.flatMap(({ frontends }) => frontends.filter((frontend) => !known.has(place(frontend))))
    this.#stale.push(...fresh.map(flowsPast))
  }

  /**
   * What was left over by whoever wrote the rules before us.
   * @param removed KUBE-SEP chains with their rules, among others
   */
  adopt(removed: ReadonlyMap<string, Rules>): void {
    for (const rules of removed.values()) {
      const target = targetOf(rules)
      if (target !== undefined && rules.some((rule) => rule.includes('-p udp')) && !this.#uses.has(target))
        this.#stale.push(...this.#flowsTo(target, []))
    }
  }

  /** Each once, the widest in place of those that it includes. */
  take(): ConntrackFilter[] {
    const all = new Map(this.#stale.map((filter) => [JSON.stringify(filter), filter]))
    this.#stale = []
    const whole = new Set(
      [...all.values()]
        .filter(
          ({ destination, port, endpointPort }) =>
            destination === undefined && port === undefined && endpointPort === undefined,
        )
        .map(({ endpoint }) => endpoint),
    )
    return [...all.values()].filter(
      (filter) => filter.endpoint === undefined || !whole.has(filter.endpoint) || isWhole(filter),
    )
  }

  /** Where nobody sends to the address any more, one walk through the table does for all of its ports. */
  #flowsTo(target: string, frontends: readonly Frontend[]): ConntrackFilter[] {
    const { address, port } = split(target)
    if (!this.#uses.has(address)) return [{ endpoint: address }]
    if (!this.#uses.has(target)) return [{ endpoint: address, endpointPort: port }]
    return frontends.map((frontend) => ({ ...toFrontend(frontend), endpoint: address, endpointPort: port }))
  }

  #count(target: string, change: number): void {
    for (const key of [target, split(target).address]) {
      const uses = (this.#uses.get(key) ?? 0) + change
      if (uses === 0) this.#uses.delete(key)
      else this.#uses.set(key, uses)
    }
  }
}

interface UdpPort {
  readonly key: string
  readonly frontends: readonly Frontend[]
  readonly targets: ReadonlySet<string>
}

function isUdp({ port }: RenderedPort): boolean {
  return port.protocol === 'udp'
}

function describe({ port, frontends, serving }: RenderedPort): UdpPort {
  return { key: port.id, frontends, targets: new Set(serving) }
}

/** "10.244.1.5:53": what an endpoint's chain sends to. */
function targetOf(rules: Rules): string | undefined {
  const last = rules.at(-1)
  return last === undefined ? undefined : / -j DNAT --to-destination (\S+)$/.exec(last)?.[1]
}

function split(target: string): { address: Address; port: number } {
  const at = target.lastIndexOf(':')
  const address = canonicalAddress(target.slice(0, at).replaceAll(/[[\]]/g, ''))
  if (address === undefined) throw new TypeError(`Expected ADDRESS:PORT in a DNAT rule, got \`${target}\``)
  return { address, port: Number(target.slice(at + 1)) }
}

function place({ address, port }: Frontend): string {
  return `${address ?? 'node'} ${port}`
}

function toFrontend({ address, port }: Frontend): ConntrackFilter {
  return address === undefined ? { port } : { destination: address, port }
}

/** Flows that were never given an endpoint: they are answered from where they were sent to. */
function flowsPast({ address, port }: Frontend): ConntrackFilter {
  return address === undefined ? { port, endpointPort: port } : { destination: address, port, endpoint: address }
}

function isWhole({ destination, port, endpointPort }: ConntrackFilter): boolean {
  return destination === undefined && port === undefined && endpointPort === undefined
}
