// Writes chains that no rule leads to yet while the rest is still being rendered.
//
// Two restores run at a time: the kernel takes in one table's transactions one by one, but iptables needs a third of the
// time to read its text, and that goes on beside it. They end in any order, so none may call a chain that another one
// has not written yet.
import { settleAll } from '../runtime/settle-all.ts'
import type { ChainText } from './table-state.ts'

type Chains = ReadonlyMap<string, ChainText>

const atOnce = 2

export class Prewriter<T> {
  readonly #write: (chains: Chains) => Promise<T>
  /** Restores in the order in which they began, those that have ended included. */
  #begun: Promise<T>[] = []
  /** The restores that have not ended. */
  readonly #underWay = new Map<Chains, Promise<unknown>>()
  #failed = false

  constructor(write: (chains: Chains) => Promise<T>) {
    this.#write = write
  }

  /** Whether {@link finish} has anything to report. */
  get hasBegun(): boolean {
    return this.#begun.length > 0
  }

  /** The number of chains under way. */
  get size(): number {
    return [...this.#underWay.keys()].reduce((sum, { size }) => sum + size, 0)
  }

  /**
   * Begins to write those of the chains that are not under way. It waits until a restore may begin, not for its end.
   * After a failure it begins nothing; {@link finish} reports the failure. Never rejects.
   * @param chains callees first
   */
  async begin(chains: Chains): Promise<void> {
    const piece = new Map([...chains].filter(([chain]) => !this.#isUnderWay(chain)))
    while (this.#underWay.size >= atOnce || (this.#underWay.size > 0 && this.#callsUnderWay(piece)))
      await Promise.race(this.#underWay.values())
    if (this.#failed) return
    const writing = this.#write(piece)
    this.#begun.push(writing)
    const ended = (failed: boolean): void => {
      this.#failed ||= failed
      this.#underWay.delete(piece)
    }
    this.#underWay.set(
      piece,
      writing.then(
        () => ended(false),
        () => ended(true),
      ),
    )
  }

  /**
   * Waits until no restore is under way.
   * @returns what was written since the last call
   * @throws what the first of them to fail threw
   */
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
    for (const piece of this.#underWay.keys()) if (piece.has(chain)) return true
    return false
  }

  #callsUnderWay(piece: Chains): boolean {
    for (const { calls } of piece.values()) for (const callee of calls) if (this.#isUnderWay(callee)) return true
    return false
  }
}
