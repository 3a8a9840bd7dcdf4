// Who holds which block of addresses. Looking one up takes a binary search, so thousands of nodes are compared in milliseconds.
import { addressToBigInt, type Family } from '../net/address.ts'
import { type Cidr, cidrSize } from '../net/cidr.ts'

export interface Claim {
  readonly cidr: Cidr
  readonly owner: string
}

interface Block extends Claim {
  readonly first: bigint
  readonly last: bigint
}

export class Claims {
  /** Sorted by address and disjoint, so that at most one neighbour in the order needs a look. */
  readonly #blocks: Readonly<Record<Family, Block[]>> = { 4: [], 6: [] }

  /** The claim that has an address in common with the block; of several, the one with the lowest addresses. */
  find(cidr: Cidr): Claim | undefined {
    const { first, last } = boundsOf(cidr)
    const block = this.#blocks[cidr.family][this.#indexFrom(cidr.family, first)]
    return block !== undefined && block.first <= last ? block : undefined
  }

  /** Does nothing where a part of the block is claimed already. */
  add(cidr: Cidr, owner: string): void {
    if (this.find(cidr) !== undefined) return
    const bounds = boundsOf(cidr)
    this.#blocks[cidr.family].splice(this.#indexFrom(cidr.family, bounds.first), 0, { cidr, owner, ...bounds })
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

function boundsOf(cidr: Cidr): { first: bigint; last: bigint } {
  const first = addressToBigInt(cidr.network)
  return { first, last: first + cidrSize(cidr) - 1n }
}
