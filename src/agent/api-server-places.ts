// Where the API server is, as addresses: of the URLs that requests go to, whose hosts may be names, and of the Service
// default/kubernetes.
import { lookup } from 'node:dns/promises'
import type { Logger } from 'pino'
import type { ApiConnection } from '../cluster/api-connection.ts'
import { type Clock, systemClock } from '../runtime/clock.ts'
import { type Address, canonicalAddress } from '../net/address.ts'

/** A TCP port of the API server. */
export interface ServerPlace {
  readonly address: Address
  readonly port: number
}

export interface ApiServerPlacesParts {
  readonly api: Pick<ApiConnection, 'places'>
  readonly log: Pick<Logger, 'debug'>
  readonly clock?: Clock
  /** All addresses of a host name. @throws {Error} */
  readonly lookUp?: (name: string) => Promise<readonly string[]>
}

/** ms. A name may come to have other addresses. */
const lookEveryMs = 60_000

export class ApiServerPlaces {
  readonly #parts: ApiServerPlacesParts
  /** By host name: what it had when it was looked up last with success. */
  readonly #found = new Map<string, readonly Address[]>()
  readonly #known = Promise.withResolvers<void>()
  readonly #listeners: (() => void)[] = []

  constructor(parts: ApiServerPlacesParts) {
    this.#parts = parts
  }

  /** Resolves when every name has been looked up once, with success or without. */
  get whenKnown(): Promise<void> {
    return this.#known.promise
  }

  get places(): readonly ServerPlace[] {
    return endsOf(this.#parts.api.places).flatMap(({ host, port }) => {
      const address = canonicalAddress(host)
      const addresses = address === undefined ? (this.#found.get(host) ?? []) : [address]
      return addresses.map((each) => ({ address: each, port }))
    })
  }

  /** Calls back when a name has other addresses. */
  onChange(listener: () => void): void {
    this.#listeners.push(listener)
  }

  /** Looks names up until the signal. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { api, clock = systemClock } = this.#parts
    while (!signal.aborted) {
      const before = JSON.stringify(this.places)
      const names = endsOf(api.places).filter(({ host }) => canonicalAddress(host) === undefined)
      await Promise.all(names.map(async ({ host }) => this.#lookUp(host)))
      this.#known.resolve()
      if (JSON.stringify(this.places) !== before) for (const listener of this.#listeners) listener()
      await clock.sleep(lookEveryMs, signal).catch(() => undefined)
    }
  }

  async #lookUp(name: string): Promise<void> {
    const { log, lookUp = addressesOf } = this.#parts
    try {
      this.#found.set(
        name,
        (await lookUp(name)).flatMap((text) => canonicalAddress(text) ?? []),
      )
    } catch (error) {
      // The connection meets the same failure, and reports it. What was found before still counts.
      log.debug({ err: error, name }, 'cannot look up the API server')
    }
  }
}

/** Hosts and ports of URLs. */
export function endsOf(urls: readonly string[]): { host: string; port: number }[] {
  return urls
    .filter((text) => URL.canParse(text))
    .map((text) => {
      const { hostname, port, protocol } = new URL(text)
      return { host: hostname.replaceAll(/[[\]]/g, ''), port: Number(port) || (protocol === 'http:' ? 80 : 443) }
    })
}

async function addressesOf(name: string): Promise<string[]> {
  return (await lookup(name, { all: true })).map(({ address }) => address)
}
