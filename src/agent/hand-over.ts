// Hands Services over to another proxy: an agent with `serviceProxy: false` that finds the rules of an earlier run goes
// on with them, until another proxy has taken over. So it does not matter which of the two starts first.
import type { Logger } from 'pino'
import type { Iptables } from '../iptables/iptables.ts'
import { CommandError } from '../kernel/command-error.ts'
import type { Family } from '../net/address.ts'
import type { Reports } from '../runtime/reports.ts'
import type { Services } from '../services/services.ts'
import { ownerOf, removeCanaries } from '../services/ownership.ts'
import type { OtherProxy } from './other-proxy.ts'

export interface HandOverParts {
  readonly iptables: Iptables
  readonly other: OtherProxy
  readonly reports: Reports
  readonly log: Logger
}

/** ms between two looks. kube-proxy opens the ports that we still hold in its first sync, so we must not be late. */
const period = 1000
/** ms until a person is told that nobody has come. */
const patience = 60_000

export class HandOver {
  readonly #parts: HandOverParts
  /** Families whose table of kube-proxy was there when we began: it may be left from long ago. */
  readonly #tables = new Set<Family>()
  /** Families whose chains a kube-proxy has taken over. */
  readonly #shared = new Set<Family>()
  #families: readonly Family[] = []
  #begin = 0
  #due = 0
  #waitsFor: readonly Family[] = []

  constructor(parts: HandOverParts) {
    this.#parts = parts
  }

  /** Those that there is something to hand over of. */
  get families(): readonly Family[] {
    return this.#families
  }

  /** When to {@link look}, ms since the epoch. */
  get due(): number {
    return this.#due
  }

  /** What a person should know as long as nobody has taken over. */
  get sentences(): readonly string[] {
    return this.#waitsFor.map(
      (family) =>
        `Services of IPv${family} go on as Fairlead had programmed them, though serviceProxy is false: no kube-proxy has taken them over; start one, or set handOver to false to remove them`,
    )
  }

  /** Finds the rules of an earlier run. @throws {CommandError} */
  async begin(): Promise<void> {
    const { iptables, other, log } = this.#parts
    const families: Family[] = []
    for (const family of [4, 6] as const) if ((await earlierOwner(iptables, family)) !== 'nobody') families.push(family)
    for (const family of families) {
      if (await other.hasTable(family)) this.#tables.add(family)
      // A kube-proxy that runs creates them anew, and so tells that it does.
      await removeCanaries(iptables, family)
    }
    this.#begin = Date.now()
    this.#families = this.#waitsFor = families
    if (families.length > 0) log.info({ families }, 'serviceProxy is off: Services go on until another proxy has them')
  }

  /** Lets go of what another proxy has taken over. @throws {CommandError} */
  async look(services: Services): Promise<void> {
    const { other, reports, log } = this.#parts
    this.#due = Date.now() + period
    for (const family of services.families) {
      const presence = await other.presence(family)
      if (presence === undefined) continue
      if (presence.rules === 'shared') {
        await services.letGo(family, { rules: 'stay' })
        this.#shared.add(family)
        log.info({ family, mode: presence.mode }, 'kube-proxy has taken over the service rules')
      } else if (presence.answers || !this.#tables.has(family)) {
        await services.letGo(family, { rules: 'go' })
        log.info({ family, by: presence.where }, 'service rules removed: another proxy has its own')
      }
    }
    this.#waitsFor = services.families
    reports.say('hand-over', Date.now() - this.#begin < patience ? [] : this.sentences)
  }

  /** Has kube-proxy write what it has taken over, and open the ports that we have closed. @throws {CommandError} */
  async end(): Promise<void> {
    for (const family of this.#shared) await removeCanaries(this.#parts.iptables, family)
  }
}

/** A node without ip6tables has no rules of that family. */
async function earlierOwner(iptables: Iptables, family: Family): Promise<string> {
  try {
    return await ownerOf(iptables, family)
  } catch (error) {
    if (error instanceof CommandError && error.kind === 'not-installed') return 'nobody'
    throw error
  }
}
