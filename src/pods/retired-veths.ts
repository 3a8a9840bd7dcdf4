// Veths on their way out. Deleting one costs the kernel 16 to 21 ms of waiting, a group of fifty 0.65 ms each: so a
// veth is cut off at once (down, off the bridge, moved to the retired group) and the group is deleted within a second.
// Most have gone by themselves by then, with their pod's namespace.
import type { Logger } from 'pino'
import type { Failure, Kernel } from '../kernel/kernel.ts'
import { deleteRetired, retireVeth } from '../kernel/link-changes.ts'
import type { InterfaceName } from '../net/interface-name.ts'
import { isSameNamespace } from './netns-identity.ts'

const flushDelayMs = 500

/** A host veth and where its other end lies. */
export interface RetiredVeth {
  readonly hostInterface: InterfaceName
  /** Undefined for a veth of which nothing else is known; so is its identity. */
  readonly netns: string | undefined
  readonly netnsId: string | undefined
}

export class RetiredVeths {
  readonly #kernel: Kernel
  readonly #log: Logger
  /** By host name: retired, and not known to be deleted. */
  readonly #pending = new Map<InterfaceName, RetiredVeth>()
  #timer: NodeJS.Timeout | undefined

  constructor(kernel: Kernel, log: Logger) {
    this.#kernel = kernel
    this.#log = log
  }

  /** Those that are being cut off, or wait to be deleted. */
  pending(): Iterable<InterfaceName> {
    return this.#pending.keys()
  }

  /**
   * Cuts the veths off; they are deleted soon after. One that is gone already counts as done.
   * @returns what could not be cut off
   */
  async retire(veths: readonly RetiredVeth[]): Promise<readonly Failure[]> {
    for (const veth of veths) this.#pending.set(veth.hostInterface, veth)
    const failures = await this.#kernel.apply(veths.map((veth) => retireVeth(veth.hostInterface)))
    this.#schedule()
    return failures.filter((failure) => failure.error.kind !== 'missing')
  }

  /**
   * Deletes what is pending when the new veth would meet it: the same host name, or another interface of the same
   * namespace.
   */
  async clearFor(veth: RetiredVeth): Promise<void> {
    const inTheWay =
      this.#pending.has(veth.hostInterface) ||
      [...this.#pending.values()].some((pending) => isSameNamespace(pending, veth))
    if (inTheWay) await this.flush()
  }

  /** Deletes the whole group now. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const included = [...this.#pending.keys()]
    const failures = await this.#kernel.apply([deleteRetired()])
    const real = failures.filter((failure) => failure.error.kind !== 'missing')
    for (const { error } of real)
      this.#log.warn(
        { command: error.command, stderr: error.stderr },
        'retired veths could not be deleted; it is tried again with the next ones',
      )
    if (real.length === 0) for (const name of included) this.#pending.delete(name)
  }

  #schedule(): void {
    this.#timer ??= setTimeout(() => {
      this.flush().catch((error: unknown) =>
        this.#log.warn({ err: error }, 'retired veths could not be deleted; it is tried again with the next ones'),
      )
    }, flushDelayMs).unref()
  }
}
