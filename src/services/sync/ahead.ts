// Chains that nobody calls yet go to the kernel while the rest is still being rendered.
//
// Two restores at a time: the kernel takes in one table's transactions one by one, but iptables needs a third of the
// time to read its text, and that goes on beside it. Each ends whenever it likes, so none may call what is still under
// way.
import { settleAll } from '../../runtime/settle-all.ts'
import type { Chains } from '../rendered.ts'
import { calledBy } from './plan.ts'

const atOnce = 2

export class Ahead<T> {
  readonly #write: (chains: Chains) => Promise<T>
  /** In the order in which they began; those that have ended too. */
  #begun: Promise<T>[] = []
  /** What has not ended. */
  readonly #pieces = new Map<Chains, Promise<unknown>>()
  #failed = false

  constructor(write: (chains: Chains) => Promise<T>) {
    this.#write = write
  }

  /** Whether there is anything for {@link finish} to tell. */
  get hasBegun(): boolean {
    return this.#begun.length > 0
  }

  /** Chains under way. */
  get size(): number {
    return [...this.#pieces.keys()].reduce((sum, { size }) => sum + size, 0)
  }

  /**
   * Begins to write those of the chains that are not under way; waits until there is room, and not for the end. Nothing
   * once one has failed, which is {@link finish}'s to tell.
   * @param chains callees first; never rejects
   */
  async begin(chains: Chains): Promise<void> {
    const piece = new Map([...chains].filter(([chain]) => !this.#isUnderWay(chain)))
    while (this.#pieces.size >= atOnce || (this.#pieces.size > 0 && this.#leadsToWhatIsUnderWay(piece)))
      await Promise.race(this.#pieces.values())
    if (this.#failed) return
    const writing = this.#write(piece)
    this.#begun.push(writing)
    const ended = (failed: boolean): void => {
      this.#failed ||= failed
      this.#pieces.delete(piece)
    }
    this.#pieces.set(
      piece,
      writing.then(
        () => ended(false),
        () => ended(true),
      ),
    )
  }

  /** When nothing is under way any more: what was written since the last call. @throws what the first to fail threw */
  async finish(): Promise<readonly T[]> {
    const begun = this.#begun
    this.#begun = []
    try {
      return await settleAll(begun)
    } finally {
      this.#failed = false
    }
  }

  #isUnderWay(chain: string): boolean {
    for (const piece of this.#pieces.keys()) if (piece.has(chain)) return true
    return false
  }

  #leadsToWhatIsUnderWay(piece: Chains): boolean {
    for (const rules of piece.values())
      for (const rule of rules) if (this.#isUnderWay(calledBy(rule) ?? '')) return true
    return false
  }
}
