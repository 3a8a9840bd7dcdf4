// What an agent that serves Services does about another proxy on its node: it reports one that runs, and removes the
// nftables table of one that has ended, which would go on leading connections to endpoints of long ago.
import type { Logger } from 'pino'
import type { Problem } from '../cluster/problem.ts'
import type { Iptables } from '../iptables/iptables.ts'
import type { Family } from '../net/address.ts'
import { ownerOf, removeCanaries } from '../services/ownership.ts'
import type { OtherProxy, OtherProxyPresence } from './other-proxy.ts'

export interface OtherProxyWatchParts {
  readonly iptables: Iptables
  readonly other: OtherProxy
  readonly log: Logger
}

/** ms between two questions whether another program has written rules. */
const period = 10_000
/** ms between two looks while a kube-proxy answers: what it leaves is to go when it ends. */
const hurriedPeriod = 1000
/** ms after which it looks though nobody has written, or nobody can tell: legacy does not notice a table of nftables. */
const longestPeriod = 120_000
/** ms after which a canary is taken for one that was left, unless a kube-proxy creates it anew. */
const canaryPeriod = 3_600_000

export class OtherProxyWatch {
  readonly #parts: OtherProxyWatchParts
  /** Families whose table of kube-proxy was there before our own rules: it is not of one that started beside us. */
  readonly #olderTables = new Set<Family>()
  /** Families that had no rules of ours when we began: until then no kube-proxy can have found us at its addresses. */
  readonly #fresh = new Set<Family>()
  readonly #canariesRemovedAt = new Map<Family, number>()
  #answered = false
  #due = 0
  #lookedAt = Number.NEGATIVE_INFINITY
  #writes: number | undefined
  #problems: readonly Problem[] = []

  constructor(parts: OtherProxyWatchParts) {
    this.#parts = parts
  }

  /** Other proxies that run, as of the last look. */
  get problems(): readonly Problem[] {
    return this.#problems
  }

  /** Looks at what is there before the first sync. @throws {CommandError} */
  async begin(): Promise<void> {
    for (const family of [4, 6] as const) {
      if (await this.#parts.other.hasTable(family)) this.#olderTables.add(family)
      if ((await ownerOf(this.#parts.iptables, family)) === 'nobody') this.#fresh.add(family)
    }
    this.#answered = (await this.#parts.other.mode()) !== undefined
  }

  /**
   * Looks, if there is a reason to.
   * @param families whose rules are ours, and complete
   * @throws {CommandError}
   */
  async look(families: readonly Family[]): Promise<void> {
    const now = Date.now()
    if (now < this.#due) return
    this.#due = now + period
    const writes = await this.#parts.iptables.foreignWrites()
    const isQuiet = writes === this.#writes && now - this.#lookedAt < longestPeriod
    if (isQuiet && this.#problems.length === 0) return
    this.#writes = writes
    this.#lookedAt = now
    const looked = new Set([...families, ...this.#olderTables])
    this.#problems = (await Promise.all([...looked].map(async (family) => this.#lookAt(family)))).flat()
    if (this.#problems.length > 0 && (await this.#parts.other.mode()) !== undefined) {
      this.#answered = true
      this.#due = Date.now() + hurriedPeriod
    }
  }

  async #lookAt(family: Family): Promise<Problem[]> {
    const presence = await this.#parts.other.presence(family)
    if (presence === undefined || (await this.#isLeft(family, presence))) return []
    const what = presence.rules === 'own' ? presence.where : `mode ${presence.mode}`
    const hint =
      presence.rules === 'own' && !presence.answers
        ? '; if it has ended, remove what it left with `fairlead cleanup --foreign`'
        : ''
    return [
      {
        reason: 'another-proxy',
        sentence: `Another proxy serves IPv${family} Services on this node too (kube-proxy, ${what}): stop it, or set serviceProxy to false here${hint}`,
      },
    ]
  }

  /** Removes what a proxy has left that has ended. */
  async #isLeft(family: Family, presence: OtherProxyPresence): Promise<boolean> {
    const { iptables, other, log } = this.#parts
    if (presence.rules === 'own') {
      const hasEnded = !presence.answers && (this.#answered || this.#fresh.has(family))
      // Once: a table that comes back has a kube-proxy that answers elsewhere.
      if (!hasEnded || !this.#olderTables.delete(family)) return false
      await other.deleteTable(family)
      log.info({ family, table: presence.where }, 'table of a kube-proxy that has ended removed')
      return true
    }
    const removedAt = this.#canariesRemovedAt.get(family) ?? Number.NEGATIVE_INFINITY
    if (presence.mode !== 'iptables' || Date.now() - removedAt < canaryPeriod) return false
    if ((await other.mode()) !== undefined) return false
    this.#canariesRemovedAt.set(family, Date.now())
    return removeCanaries(iptables, family)
  }
}
