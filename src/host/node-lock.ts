// Allows one agent per node: the holder of the lock programs it.
import { statSync } from 'node:fs'
import { CommandError } from '../kernel/command-error.ts'
import { holdLock } from '../kernel/process-lock.ts'

/** Thrown to the person who starts a second agent; the message says what to do. */
export class NodeTakenError extends Error {
  override readonly name = 'NodeTakenError'
}

export class NodeLock implements AsyncDisposable {
  readonly #path: string
  #held: AsyncDisposable | undefined
  /** Inode of the file that is held open. The kernel does not reuse it while it is open, so equality proves ownership. */
  #inode: number | undefined

  private constructor(path: string) {
    this.#path = path
  }

  /**
   * Takes the lock.
   * @param path of the lock file
   * @throws {NodeTakenError} when another agent holds it
   */
  static async take(path: string): Promise<NodeLock> {
    const lock = new NodeLock(path)
    await lock.#take()
    return lock
  }

  /**
   * Takes the lock again if its file was removed, because a second agent could take a new file.
   * @returns whether the file was gone
   * @throws {NodeTakenError} when another agent took it meanwhile
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

/**
 * Reads the inode number of a file.
 * @returns undefined if nothing is at the path
 */
export function inodeOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.ino
}
