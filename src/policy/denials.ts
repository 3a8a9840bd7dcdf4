// How many packets were denied: each isolated pod's own count stands in the kernel, and since a pod is under one set of
// policies, that set's count is the sum over its pods.
import type { Address } from '../net/address.ts'
import { freshCount } from './fresh-count.ts'
import type { ObservedTable } from './observe.ts'
import { type Direction, directions, type Isolation, type Subject } from './subjects.ts'

export interface Denial {
  readonly direction: Direction
  readonly namespace: string
  readonly pod: string
  /** Their names, which are all of the pod's namespace; undefined while its labels are not known. */
  readonly policies: readonly string[] | undefined
  readonly packets: number
}

interface Count {
  denial: Denial
  packets: number
}

export class Denials {
  /** By direction, pod and policies. */
  #counts = new Map<string, Count>()
  /** By direction and address: what the kernel said last. */
  #last = new Map<string, number>()

  /** Since the agent began to look, for pods that are isolated now. */
  get readings(): readonly Denial[] {
    return [...this.#counts.values()].map(({ denial, packets }) => ({ ...denial, packets }))
  }

  /** @param counts of the kernel, which begin anew when a set is written anew */
  note(counts: ObservedTable['counts'], subjects: readonly Subject[]): void {
    const now = new Map<string, Count>()
    const last = new Map<string, number>()
    for (const subject of subjects) {
      for (const direction of directions) {
        const denial = denialOf(subject, direction)
        if (denial === undefined) continue
        const key = [direction, subject.local.key, ...(denial.policies ?? [''])].join()
        const before = now.get(key)?.packets ?? this.#counts.get(key)?.packets ?? 0
        const fresh = subject.local.addresses.reduce(
          (sum, address) => sum + this.#since(direction, address, counts, last),
          0,
        )
        now.set(key, { denial, packets: before + fresh })
      }
    }
    this.#counts = now
    this.#last = last
  }

  #since(direction: Direction, address: Address, counts: ObservedTable['counts'], last: Map<string, number>): number {
    return freshCount(
      `${direction} ${address}`,
      counts.get(deniedSet(direction, address))?.get(address),
      this.#last,
      last,
    )
  }
}

/** The set whose elements count what is denied to or from an address. */
export function deniedSet(direction: Direction, address: Address): string {
  return `denied-${direction}${address.includes(':') ? 6 : 4}`
}

function denialOf({ local, ...isolations }: Subject, direction: Direction): Denial | undefined {
  const isolation: Isolation = isolations[direction]
  if (isolation === undefined) return undefined
  const policies = isolation === 'held' ? undefined : isolation.map(({ name }) => name)
  return {
    direction,
    namespace: local.namespace,
    pod: local.key.slice(local.namespace.length + 1),
    policies,
    packets: 0,
  }
}
