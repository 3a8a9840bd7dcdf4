// The rules of one family in the kernel: reads them, writes what differs, and remembers what it wrote.
import type { Logger } from 'pino'
import type { Family } from '../../net/address.ts'
import { CommandError } from '../../kernel/command-error.ts'
import type { Iptables } from '../../iptables/iptables.ts'
import { describeRules, diffChains, diffJumps, type Edit, leftOver, type ObservedChains, restoreText } from './diff.ts'
import { hostPortChain } from './host-ports.ts'
import { observeChains } from './observe.ts'
import { baseChains, noRules, ourChains, placeKey, type RuleSet } from './rule-set.ts'
import { Spellings } from './spellings.ts'

/** What a pass over one family has written. */
export interface Applied {
  /** The text that went to iptables-restore; empty where nothing differed. */
  readonly text: string
  /** Chains and jumps that were not as we had left them: "nat FAIRLEAD-EGRESS", "filter FORWARD > FAIRLEAD-FORWARD". */
  readonly repaired: readonly string[]
  /** Rules that stood in the chain of host ports and are not desired: what was withdrawn while nobody looked. */
  readonly strayHostPorts: readonly string[]
}

const nothing: Applied = { text: '', repaired: [], strayHostPorts: [] }

/** Its methods must not overlap: {@link PodRules} takes turns. */
export class FamilyRules {
  readonly #family: Family
  readonly #iptables: Iptables
  readonly #log: Logger
  readonly #spellings = new Spellings()
  /** What was last in force as we know it; undefined at the start, and where a write has failed. */
  #applied: RuleSet | undefined

  constructor(parts: { family: Family; iptables: Iptables; log: Logger }) {
    this.#family = parts.family
    this.#iptables = parts.iptables
    this.#log = parts.log
  }

  /** Makes the kernel hold the desired rules, whatever it holds now. @throws {CommandError} */
  async reconcile(desired: RuleSet): Promise<Applied> {
    const previous = this.#applied
    // Nobody else makes our chains: once none were found, none are looked for.
    if (previous !== undefined && isEmpty(previous) && isEmpty(desired)) return nothing
    this.#applied = undefined
    const observed = await this.#observe(desired)
    const edits = this.#diff(desired, observed)
    const text = restoreText(edits)
    if (text !== '') {
      await this.#iptables.restore(this.#family, text)
      await this.#readBack(desired, edits)
    }
    this.#applied = desired
    const repaired =
      previous === undefined ? [] : edits.filter(sameWanted(previous, desired)).map(({ object }) => object)
    if (repaired.length > 0)
      this.#log.warn(
        { family: this.#family, rules: repaired },
        'iptables rules had been changed by another program: repaired',
      )
    const wanted = new Set(desired.chains.flatMap(({ rules }) => rules))
    const strayHostPorts = (observed.get(hostPortChain) ?? []).filter((rule) => !wanted.has(rule))
    return { text, repaired, strayHostPorts }
  }

  /**
   * Goes from what was last applied to the desired rules without reading the kernel, for changes that a pod waits for.
   * What is found not to be as we had left it turns it into a {@link reconcile}. @throws {CommandError}
   */
  async update(desired: RuleSet): Promise<void> {
    const previous = this.#applied
    if (previous === undefined) {
      await this.reconcile(desired)
      return
    }
    const held: ObservedChains = new Map(previous.chains.map((chain) => [placeKey(chain), chain.rules]))
    // With the same jumps as before: they only change with the configuration, which a reconcile follows.
    const text = restoreText(diffChains(desired, held, new Spellings()))
    if (text === '') return
    this.#applied = undefined
    try {
      await this.#iptables.restore(this.#family, text)
      this.#applied = { chains: desired.chains, jumps: previous.jumps }
    } catch (error) {
      if (!(error instanceof CommandError)) throw error
      this.#log.warn(
        { family: this.#family, stderr: error.stderr },
        'iptables rules are not as we had left them: reading them all',
      )
      await this.reconcile(desired)
    }
  }

  /**
   * A cheap look at what a flush takes away: each jump, and the last rule of each chain. True where nothing is known,
   * since a reconcile is due then anyway.
   * @throws {CommandError}
   */
  async intact(): Promise<boolean> {
    if (this.#applied === undefined || isEmpty(this.#applied)) return true
    const { chains, jumps } = this.#applied
    const last = chains.flatMap(({ table, rules }) => rules.slice(-1).map((rule) => ({ table, rule })))
    return this.#iptables.hasRules(this.#family, [...last, ...jumps.map(({ table, rule }) => ({ table, rule }))])
  }

  /** Removes every chain and jump of ours. @throws {CommandError} */
  async clean(): Promise<Applied> {
    return this.reconcile(noRules)
  }

  /** A node without ip6tables has no IPv6 rules to take away. */
  async #observe(desired: RuleSet): Promise<ObservedChains> {
    try {
      return await observeChains(this.#iptables, this.#family, [...baseChains, ...ourChains])
    } catch (error) {
      if (isEmpty(desired) && error instanceof CommandError && error.kind === 'not-installed') return new Map()
      throw error
    }
  }

  #diff(desired: RuleSet, observed: ObservedChains): Edit[] {
    return [...diffChains(desired, observed, this.#spellings), ...diffJumps(desired, observed, this.#spellings)]
  }

  /**
   * Looks at what was just written. Where it only reads otherwise than we spell it, that is remembered: the next pass
   * must not take it for drift.
   */
  async #readBack(desired: RuleSet, edits: readonly Edit[]): Promise<void> {
    const written = new Set(edits.map(({ object }) => object.split(' > ')[0]))
    const observed = await observeChains(
      this.#iptables,
      this.#family,
      [...baseChains, ...ourChains].filter((place) => written.has(placeKey(place))),
    )
    const pairs = [
      ...desired.chains.map((chain) => ({ rules: chain.rules, printed: observed.get(placeKey(chain)) })),
      ...desired.jumps.map((jump) => ({
        rules: [jump.rule],
        printed: observed
          .get(placeKey({ table: jump.table, name: jump.base }))
          ?.filter((rule) => rule.endsWith(` -j ${jump.target}`)),
      })),
    ]
    for (const { rules, printed } of pairs) {
      if (printed !== undefined) this.#learn(leftOver(rules, printed, this.#spellings))
    }
    await this.#makeRoom(desired, observed)
  }

  /**
   * Rules for Services, which ours must stand behind, may have come between our look and our write: at a start both are
   * written at the same time. What was removed needs no room, also where nothing was: in a dry run.
   */
  async #makeRoom({ chains, jumps }: RuleSet, observed: ObservedChains): Promise<void> {
    const written = jumps.filter(({ table, base }) => observed.has(placeKey({ table, name: base })))
    const wanted = describeRules({ chains: [], jumps: written })
    const text = restoreText(
      diffJumps({ chains, jumps: written }, observed, this.#spellings).filter(({ object }) => wanted.has(object)),
    )
    if (text !== '') await this.#iptables.restore(this.#family, text)
  }

  /** Both in the order of the chain. Unequal numbers are another program's doing, for the next pass to see. */
  #learn({ missing, surplus }: { missing: readonly string[]; surplus: readonly string[] }): void {
    if (missing.length !== surplus.length) return
    for (const [i, rule] of missing.entries()) {
      const printed = surplus[i] ?? rule
      this.#log.info({ rule, printed }, 'this iptables prints a rule in its own way')
      this.#spellings.learn(rule, printed)
    }
  }
}

function isEmpty({ chains, jumps }: RuleSet): boolean {
  return chains.length + jumps.length === 0
}

/** Whether both sets want the same of what an edit puts right: then somebody else has changed it. */
function sameWanted(before: RuleSet, after: RuleSet): (edit: Edit) => boolean {
  const [old, wanted] = [describeRules(before), describeRules(after)]
  return ({ object }) => old.get(object) === wanted.get(object)
}
