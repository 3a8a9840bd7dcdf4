// The node's addresses: one pool per podCIDR, in memory. The truth on disk is the attachments; only what rests is
// written beside them.
import { type Address, addressToBigInt } from '../net/address.ts'
import { type Cidr, cidrContains, cidrSize, formatCidr, nthAddress } from '../net/cidr.ts'

/** How long a freed address is kept back, ms: neighbours, conntrack and clients forget who had it. */
export const restMs = 30_000

export interface PoolStatus {
  readonly podCidr: Cidr
  /** Addresses a pod can get: gateway, network and broadcast address do not count. Not exact above 2^53. */
  readonly size: number
  readonly used: number
  readonly resting: number
}

export interface RestingAddress {
  readonly address: Address
  /** ms, as the clock of {@link Ipam} had it. */
  readonly since: number
}

export class PoolExhaustedError extends Error {
  override readonly name = 'PoolExhaustedError'
}

/** A podCIDR that cannot serve pods. */
export class PodCidrError extends TypeError {
  override readonly name = 'PodCidrError'
}

/** The gateway of a podCIDR: its first address after the network's own. */
export function gatewayOf(podCidr: Cidr): Address {
  return nthAddress(podCidr, 1)
}

export class Ipam {
  readonly #pools: readonly Pool[]

  /**
   * @param now ms of a clock that nobody sets
   * @throws {PodCidrError} for a podCIDR too small to hold a pod beside its gateway
   */
  constructor(podCidrs: readonly Cidr[], now: () => number) {
    this.#pools = podCidrs.map((podCidr) => new Pool(podCidr, now))
  }

  /** One address of each pool, in the order of the podCIDRs. @throws {PoolExhaustedError} and takes none. */
  allocate(): Address[] {
    const taken: Address[] = []
    try {
      for (const pool of this.#pools) taken.push(pool.allocate())
    } catch (error) {
      for (const [i, address] of taken.entries()) this.#pools[i]?.cancel(address)
      throw error
    }
    return taken
  }

  /**
   * Marks addresses as used that pods hold already; those outside every pool (of a former podCIDR) are nobody's
   * concern.
   */
  reserve(addresses: readonly Address[]): void {
    for (const address of addresses) this.#poolOf(address)?.reserve(address)
  }

  /** Gives addresses back, to rest. One that is not in use changes nothing, so a repeated DEL does no harm. */
  release(addresses: readonly Address[]): void {
    for (const address of addresses) this.#poolOf(address)?.release(address)
  }

  /** What rests now, longest first within a pool. */
  resting(): RestingAddress[] {
    return this.#pools.flatMap((pool) => pool.resting())
  }

  /** Takes over what {@link resting} of an earlier instance gave; an address in use stays in use. */
  restore(resting: readonly RestingAddress[]): void {
    for (const { address, since } of resting.toSorted((a, b) => a.since - b.since))
      this.#poolOf(address)?.rest(address, since)
  }

  status(): PoolStatus[] {
    return this.#pools.map((pool) => pool.status())
  }

  #poolOf(address: Address): Pool | undefined {
    return this.#pools.find((pool) => cidrContains(pool.podCidr, address))
  }
}

/**
 * Addresses are kept as their distance from the network address: small keys, and no list of the pool (an IPv6 /64 has
 * none).
 */
class Pool {
  readonly podCidr: Cidr
  readonly #now: () => number
  readonly #network: bigint
  /** First and last offset that a pod can get. */
  readonly #first = 2n
  readonly #last: bigint
  /** Where the next search starts: one past the address given last. */
  #next = 2n
  readonly #used = new Set<bigint>()
  /** Offset -> since when. In order of time, so the head has rested longest. Disjoint from #used. */
  readonly #resting = new Map<bigint, number>()

  constructor(podCidr: Cidr, now: () => number) {
    this.podCidr = podCidr
    this.#now = now
    this.#network = addressToBigInt(podCidr.network)
    // IPv6 knows no broadcast address.
    this.#last = cidrSize(podCidr) - (podCidr.family === 4 ? 2n : 1n)
    if (this.#last < this.#first)
      throw new PodCidrError(
        `Expected a podCIDR with room for a pod beside its gateway, got \`${formatCidr(podCidr)}\``,
      )
  }

  get #size(): bigint {
    return this.#last - this.#first + 1n
  }

  allocate(): Address {
    this.#wake()
    const offset = this.#roundRobin() ?? this.#resting.keys().next().value
    if (offset === undefined) {
      throw new PoolExhaustedError(
        `No address is free in ${formatCidr(this.podCidr)}: ${this.#used.size} of ${this.#size} are used and ${this.#resting.size} resting. Delete pods on this node or give it a larger podCIDR`,
      )
    }
    this.#resting.delete(offset)
    this.#used.add(offset)
    this.#next = offset + 1n
    return nthAddress(this.podCidr, offset)
  }

  /** Takes back an {@link allocate} that nobody has seen: the address needs no rest. */
  cancel(address: Address): void {
    this.#used.delete(this.#offsetOf(address))
  }

  reserve(address: Address): void {
    const offset = this.#offsetOf(address)
    if (offset < this.#first || offset > this.#last) return
    this.#resting.delete(offset)
    this.#used.add(offset)
    // Addresses were given in order: those just before the last one that is in use were freed long ago.
    if (offset >= this.#next) this.#next = offset + 1n
  }

  release(address: Address): void {
    const offset = this.#offsetOf(address)
    if (this.#used.delete(offset)) this.#resting.set(offset, this.#now())
  }

  rest(address: Address, since: number): void {
    const offset = this.#offsetOf(address)
    if (offset < this.#first || offset > this.#last || this.#used.has(offset)) return
    // A time still to come was told by another clock; the address rests for as long as we ask, and no longer.
    this.#resting.set(offset, Math.min(since, this.#now()))
  }

  resting(): RestingAddress[] {
    this.#wake()
    return Array.from(this.#resting, ([offset, since]) => ({ address: nthAddress(this.podCidr, offset), since }))
  }

  status(): PoolStatus {
    this.#wake()
    return { podCidr: this.podCidr, size: Number(this.#size), used: this.#used.size, resting: this.#resting.size }
  }

  /**
   * The next offset that is neither used nor resting. Skips no more than those two hold: a /16 that is nearly full
   * costs a few ms.
   */
  #roundRobin(): bigint | undefined {
    if (BigInt(this.#used.size + this.#resting.size) >= this.#size) return undefined
    let offset = this.#next
    for (;;) {
      if (offset > this.#last) offset = this.#first
      if (!this.#used.has(offset) && !this.#resting.has(offset)) return offset
      offset++
    }
  }

  /** Ends the rest of those that had enough. */
  #wake(): void {
    const enough = this.#now() - restMs
    for (const [offset, since] of this.#resting) {
      if (since > enough) return
      this.#resting.delete(offset)
    }
  }

  #offsetOf(address: Address): bigint {
    return addressToBigInt(address) - this.#network
  }
}
