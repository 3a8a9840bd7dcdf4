// Which block of the cluster's range a node gets: pure bookkeeping.
import { type Cidr, cidrOf, cidrsOverlap, cidrSize, formatCidr, nthAddress } from '../../net/cidr.ts'

/**
 * Gives the lowest block that no node ever had; once all were given, the one freed longest ago. A freed block rests
 * that long because other nodes and long connections may still know it as its former owner's.
 */
export class NodeBlocks {
  readonly #cidr: Cidr
  readonly #prefix: number
  /** Blocks below this index were all given or taken at least once. */
  #frontier = 0n
  /** Who holds what: uid of the node -> its blocks, ours or foreign. */
  readonly #held = new Map<string, readonly Cidr[]>()
  /** Freed blocks of ours, by text, the longest freed first. */
  readonly #freed = new Map<string, Cidr>()

  /** @throws {RangeError} when blocks of that prefix do not fit the range. */
  constructor(cidr: Cidr, prefix: number) {
    if (prefix < cidr.prefix)
      throw new RangeError(`Expected a cluster range that holds blocks of /${prefix}, got ${formatCidr(cidr)}`)
    this.#cidr = cidr
    this.#prefix = prefix
  }

  /** Notes what a node has, given by us or by hand. */
  hold(owner: string, blocks: readonly Cidr[]): void {
    this.#held.set(owner, blocks)
  }

  /** Frees what every other owner held. */
  keepOnly(owners: ReadonlySet<string>): void {
    for (const [owner, blocks] of this.#held) {
      if (owners.has(owner)) continue
      this.#held.delete(owner)
      for (const block of blocks)
        if (block.prefix === this.#prefix && cidrsOverlap(this.#cidr, block)) this.#freed.set(formatCidr(block), block)
    }
  }

  /** Undefined when no block is left. */
  give(owner: string): Cidr | undefined {
    const known = this.#held
      .get(owner)
      ?.find((block) => block.prefix === this.#prefix && cidrsOverlap(this.#cidr, block))
    const block = known ?? this.#neverUsed() ?? this.#longestFreed()
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
    while (this.#frontier < count) {
      const block = cidrOf(nthAddress(this.#cidr, this.#frontier++ * blockSize), this.#prefix)
      if (
        !taken.has(block.network) &&
        !this.#freed.has(formatCidr(block)) &&
        !odd.some((other) => cidrsOverlap(other, block))
      )
        return block
    }
    return undefined
  }

  #longestFreed(): Cidr | undefined {
    const held = [...this.#allHeld()]
    for (const [text, block] of this.#freed) {
      if (held.some((other) => cidrsOverlap(other, block))) continue
      this.#freed.delete(text)
      return block
    }
    return undefined
  }

  *#allHeld(): Iterable<Cidr> {
    for (const blocks of this.#held.values()) yield* blocks
  }
}
