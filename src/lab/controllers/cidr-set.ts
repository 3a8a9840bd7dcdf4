// Allocates blocks of the cluster CIDR to nodes, like the real controller's cidrset. Pure bookkeeping.
import { type Cidr, cidrOf, cidrsOverlap, cidrSize, formatCidr, nthAddress } from '../../net/cidr.ts'

/**
 * Allocates the lowest block that no node has had yet; after all were used, the block that was released longest ago.
 * Until then other nodes and long-lived connections may still associate a released block with its previous owner.
 */
export class CidrSet {
  readonly #cidr: Cidr
  readonly #prefix: number
  /** All blocks below this index were in use at least once. */
  #nextIndex = 0n
  /** The blocks of each node by its uid, allocated here or not. */
  readonly #held = new Map<string, readonly Cidr[]>()
  /** Released blocks by text, the longest released first. */
  readonly #released = new Map<string, Cidr>()

  /** @throws {RangeError} when the cluster CIDR is smaller than one block. */
  constructor(cidr: Cidr, prefix: number) {
    if (prefix < cidr.prefix)
      throw new RangeError(`Expected a cluster CIDR that holds blocks of /${prefix}, got ${formatCidr(cidr)}`)
    this.#cidr = cidr
    this.#prefix = prefix
  }

  /** Records the blocks of a node, allocated here or not. */
  occupy(owner: string, blocks: readonly Cidr[]): void {
    this.#held.set(owner, blocks)
  }

  /** Releases the blocks of all other nodes. */
  keepOnly(owners: ReadonlySet<string>): void {
    for (const [owner, blocks] of this.#held) {
      if (owners.has(owner)) continue
      this.#held.delete(owner)
      for (const block of blocks)
        if (block.prefix === this.#prefix && cidrsOverlap(this.#cidr, block))
          this.#released.set(formatCidr(block), block)
    }
  }

  /** @returns undefined when no block is left. */
  allocate(owner: string): Cidr | undefined {
    const known = this.#held
      .get(owner)
      ?.find((block) => block.prefix === this.#prefix && cidrsOverlap(this.#cidr, block))
    const block = known ?? this.#neverUsed() ?? this.#longestReleased()
    if (block !== undefined && known === undefined) this.#held.set(owner, [...(this.#held.get(owner) ?? []), block])
    return block
  }

  #neverUsed(): Cidr | undefined {
    const blockSize = cidrSize(cidrOf(this.#cidr.network, this.#prefix))
    const count = cidrSize(this.#cidr) / blockSize
    const taken = new Set<string>()
    const odd: Cidr[] = []
    for (const block of this.#allHeld()) {
      if (block.prefix === this.#prefix) taken.add(block.network)
      else odd.push(block)
    }
    while (this.#nextIndex < count) {
      const block = cidrOf(nthAddress(this.#cidr, this.#nextIndex++ * blockSize), this.#prefix)
      if (
        !taken.has(block.network) &&
        !this.#released.has(formatCidr(block)) &&
        !odd.some((other) => cidrsOverlap(other, block))
      )
        return block
    }
    return undefined
  }

  #longestReleased(): Cidr | undefined {
    const held = [...this.#allHeld()]
    for (const [text, block] of this.#released) {
      if (held.some((other) => cidrsOverlap(other, block))) continue
      this.#released.delete(text)
      return block
    }
    return undefined
  }

  *#allHeld(): Iterable<Cidr> {
    for (const blocks of this.#held.values()) yield* blocks
  }
}
