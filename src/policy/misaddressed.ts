// How many packets were dropped at the ports of isolated pods, since a source or a destination was not the pod's own
// (wires.ts): each port's own count stands in the kernel.
import { freshCount } from './fresh-count.ts'
import type { ObservedTable } from './observe.ts'
import type { Subject } from './subjects.ts'
import { countingSets } from './wires.ts'

export interface Misaddressed {
  /** What of the packet was not the pod's. */
  readonly reason: keyof typeof countingSets
  readonly namespace: string
  readonly pod: string
  readonly packets: number
}

const reasons = ['source', 'destination'] as const

export class MisaddressedCounts {
  /** By reason and pod. */
  #counts = new Map<string, Misaddressed>()
  /** By reason and port: what the kernel said last. */
  #last = new Map<string, number>()

  /** Since the agent began to look, for pods that are isolated now. */
  get readings(): readonly Misaddressed[] {
    return [...this.#counts.values()]
  }

  /** @param subjects those that are isolated */
  note(counts: ObservedTable['counts'], subjects: readonly Subject[]): void {
    const now = new Map<string, Misaddressed>()
    const last = new Map<string, number>()
    for (const { local, ingress, egress } of subjects) {
      for (const reason of reasons) {
        if (local.port === undefined || (reason === 'source' ? egress : ingress) === undefined) continue
        const key = `${reason} ${local.key}`
        const before = now.get(key)?.packets ?? this.#counts.get(key)?.packets ?? 0
        const fresh = freshCount(
          `${reason} ${local.port}`,
          counts.get(countingSets[reason])?.get(local.port),
          this.#last,
          last,
        )
        now.set(key, {
          reason,
          namespace: local.namespace,
          pod: local.key.slice(local.namespace.length + 1),
          packets: before + fresh,
        })
      }
    }
    this.#counts = now
    this.#last = last
  }
}
