// What passes over the network have changed: in the log, the metrics, and as drift where nothing but another program
// can have caused it.
import type { Logger } from 'pino'
import type { Change } from '../kernel/change.ts'
import type { Failure } from '../kernel/kernel.ts'
import type { Metrics } from '../runtime/metrics.ts'
import type { Repairs } from '../runtime/repairs.ts'
import type { Reports } from '../runtime/reports.ts'

export interface PassResult {
  readonly changes: readonly Change[]
  readonly failures: readonly Failure[]
}

export class PassAccount {
  readonly #metrics: Metrics
  readonly #repairs: Repairs
  readonly #reports: Reports
  readonly #log: Logger
  /** ms since the epoch: when a pass last had something to put right. */
  changedAt: number | undefined

  constructor(parts: { metrics: Metrics; repairs: Repairs; reports: Reports; log: Logger }) {
    this.#metrics = parts.metrics
    this.#repairs = parts.repairs
    this.#reports = parts.reports
    this.#log = parts.log
  }

  /** @param drift whether another program has caused what was changed */
  note(room: string, { changes, failures }: PassResult, drift: boolean): void {
    const failed = new Set(failures.map(({ change }) => change))
    const made = changes.filter((change) => !failed.has(change))
    if (made.length > 0) this.changedAt = Date.now()
    if (drift)
      this.#repairs.note(
        room,
        made.map(({ tool, line }) => `${tool} ${line}`),
      )
    for (const { kind, tool, line } of made) {
      this.#metrics.reconcileChanges.inc({ room, kind })
      this.#log.info({ room, command: `${tool} ${line}` }, 'repaired')
    }
    for (const { change, error } of failures) {
      this.#metrics.reconcileFailures.inc({ room, kind: change.kind })
      this.#log.debug({ room, command: error.command, stderr: error.stderr }, 'refused by the kernel')
    }
    this.#reports.say(`${room} changes`, [...new Set(failures.map(failureSentence))])
  }

  /** Notes rules that were read and put back. */
  noteRules(repaired: readonly string[]): void {
    this.#metrics.reconcileChanges.inc({ room: 'rules', kind: 'chain' }, repaired.length)
    this.#repairs.note('rules', repaired)
    if (repaired.length > 0) this.changedAt = Date.now()
  }
}

export function failureSentence({ change, error }: Failure): string {
  return `${change.object} could not be set (${error.stderr || error.kind}); it is tried again`
}
