// One agent per node: whoever holds the lock programs it.
import { CommandError } from '../kernel/command-error.ts'
import { holdLock } from '../kernel/process-lock.ts'
import { inodeOf } from './inode-of.ts'

/** Its message is for the person who started a second agent. */
export class NodeTakenError extends Error {
  override readonly name = 'NodeTakenError'
}

export class NodeLock implements AsyncDisposable {
  readonly #path: string
  #held: AsyncDisposable | undefined
  /** Of the file that we hold: it cannot be another's for as long as we do. */
  #inode: number | undefined

  private constructor(path: string) {
    this.#path = path
  }

  /** @throws {NodeTakenError} */
  static async take(path: string): Promise<NodeLock> {
    const lock = new NodeLock(path)
    await lock.#take()
    return lock
  }

  /**
   * Takes the lock again where its file has been removed, which would let a second agent in.
   * @returns whether it had been.
   * @throws {NodeTakenError} when one is in.
   */
  async renew(): Promise<boolean> {
    if (inodeOf(this.#path) === this.#inode) return false
    await this[Symbol.asyncDispose]()
    await this.#take()
    return true
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#held?.[Symbol.asyncDispose]()
    this.#held = undefined
  }

  async #take(): Promise<void> {
    try {
      this.#held = await holdLock(this.#path)
      this.#inode = inodeOf(this.#path)
    } catch (error) {
      if (!(error instanceof CommandError && error.kind === 'conflict')) throw error
      throw new NodeTakenError(
        `Another fairlead agent runs on this node and holds ${this.#path}; stop that one first`,
        { cause: error },
      )
    }
  }
}
