// Who holds which block of addresses. Looking one up takes a binary search, so thousands of nodes are compared in
// milliseconds.
import { type Address, addressToBigInt, type Family, familyOf } from '../net/address.ts'
import { type Cidr, cidrSize } from '../net/cidr.ts'

export interface Claim {
  readonly cidr: Cidr
  readonly owner: string
}

interface Bounds {
  readonly first: bigint
  readonly last: bigint
}

interface Block extends Claim, Bounds {}

export class Claims {
  /** Sorted by address and disjoint, so that at most one neighbour in the order needs a look. */
  readonly #blocks: Readonly<Record<Family, Block[]>> = { 4: [], 6: [] }

  /** The claim that has an address in common with the block; of several, the one with the lowest addresses. */
  find(cidr: Cidr): Claim | undefined {
    return this.#within(cidr.family, boundsOf(cidr))
  }

  /** The claim that holds the address. */
  holder(address: Address): Claim | undefined {
    const number = addressToBigInt(address)
    return this.#within(familyOf(address), { first: number, last: number })
  }

  /** Does nothing where a part of the block is claimed already. */
  add(cidr: Cidr, owner: string): void {
    if (this.find(cidr) !== undefined) return
    const bounds = boundsOf(cidr)
    this.#blocks[cidr.family].splice(this.#indexFrom(cidr.family, bounds.first), 0, { cidr, owner, ...bounds })
  }

  #within(family: Family, { first, last }: Bounds): Claim | undefined {
    const block = this.#blocks[family][this.#indexFrom(family, first)]
    return block !== undefined && block.first <= last ? block : undefined
  }

  /** The index of the first block that ends at the address or after it. */
  #indexFrom(family: Family, address: bigint): number {
    const blocks = this.#blocks[family]
    let [low, high] = [0, blocks.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      const block = blocks[middle]
      if (block !== undefined && block.last < address) low = middle + 1
      else high = middle
    }
    return low
  }
}

/** Nodes come as the same frozen objects in every pass, so their blocks are worked out once. */
const known = new WeakMap<Cidr, Bounds>()

function boundsOf(cidr: Cidr): Bounds {
  const before = known.get(cidr)
  if (before !== undefined) return before
  const first = addressToBigInt(cidr.network)
  const bounds = { first, last: first + cidrSize(cidr) - 1n }
  known.set(cidr, bounds)
  return bounds
}
