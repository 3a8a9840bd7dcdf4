// The chains of one iptables table that are ours: what they should hold, and what we know them to hold.
//
// Of a chain that holds what it should, the fingerprint is kept; of any other one both texts are, until they agree. So
// the state costs what differs, but for a name and a number a chain. What a chain should hold is rendered again where
// an audit finds another fingerprint in the kernel.
import type { Rules } from '../rendered.ts'
import { areSameRules } from './canonical-rule.ts'
import { fingerprint } from './fingerprint.ts'
import { shared } from './ours.ts'

/** From what is in force to what should be. */
export interface Difference {
  /** Chain -> its rules, all of them. */
  readonly write: ReadonlyMap<string, Rules>
  readonly remove: readonly string[]
  /** Of these chains, what is in force, as far as its text is known. */
  readonly applied: ReadonlyMap<string, Rules>
}

/** A chain that does not hold what it should, or nobody knows. */
interface Open {
  /** Undefined: nobody wants it. A fingerprint: what is wanted has to be rendered again. */
  readonly wanted: Rules | number | undefined
  /**
   * Undefined: it is not there. Doubtful: it may be there, and nobody knows what it holds, since a restore that named
   * it has failed.
   */
  readonly held: Rules | number | 'doubtful' | undefined
}

export class TableState {
  readonly #keepsText: boolean
  /** Chains that hold what they should: its fingerprint, or its text. None of them is in #open. */
  readonly #settled = new Map<string, Rules | number>()
  readonly #open = new Map<string, Open>()
  /** Of these, those that are not there and whose rules are known. */
  readonly #fresh = new Set<string>()
  /** Fingerprints of settled chains as this iptables prints them, where it has its own order of words. */
  readonly #printed = new Map<string, number>()

  /** @param settings.keepsText for a table whose plan asks what settled chains hold: it is then kept. */
  constructor({ keepsText = false } = {}) {
    this.#keepsText = keepsText
  }

  /** Chains that should be there. */
  get size(): number {
    let size = this.#settled.size
    for (const { wanted } of this.#open.values()) if (wanted !== undefined) size += 1
    return size
  }

  /** Chains that are there, as far as we know. */
  *held(): Generator<string> {
    yield* this.#settled.keys()
    for (const [chain, { held }] of this.#open) if (held !== undefined) yield chain
  }

  /** What chains hold that are not as they should be, as far as its text is known. */
  *heldText(): Generator<readonly [chain: string, rules: Rules]> {
    for (const [chain, { held }] of this.#open) if (isText(held)) yield [chain, held]
  }

  isSettled(chain: string): boolean {
    return this.#settled.has(chain)
  }

  /** Whether that is what a settled chain reads like. */
  agrees(chain: string, print: number): boolean {
    const settled = this.#settled.get(chain)
    return settled !== undefined && (print === fingerprintOf(settled) || print === this.#printed.get(chain))
  }

  /** That is how this iptables prints what a settled chain should hold. */
  spelled(chain: string, printed: Rules): void {
    if (this.#settled.has(chain)) this.#printed.set(chain, fingerprint(printed))
  }

  want(chain: string, rules: Rules): void {
    const settled = this.#settled.get(chain)
    if (settled === undefined) this.#set(chain, rules, this.#open.get(chain)?.held)
    else if (!isSame(rules, settled)) this.#set(chain, rules, settled)
  }

  unwant(chain: string): void {
    this.#set(chain, undefined, this.#settled.get(chain) ?? this.#open.get(chain)?.held)
  }

  /** The kernel holds the chain like this. */
  learn(chain: string, rules: Rules): void {
    this.#set(chain, this.#wanted(chain), rules)
  }

  /** The chain is not there. */
  learnGone(chain: string): void {
    this.#set(chain, this.#wanted(chain), undefined)
  }

  /** What the chain holds is no longer known. */
  doubt(chain: string): void {
    this.#set(chain, this.#wanted(chain), 'doubtful')
  }

  /** Chains whose wanted rules have to be rendered and told by {@link want} before there is a {@link difference}. */
  get unrendered(): ReadonlySet<string> {
    return new Set([...this.#open].filter(([, { wanted }]) => typeof wanted === 'number').map(([chain]) => chain))
  }

  difference(): Difference {
    const write = new Map<string, Rules>()
    const remove: string[] = []
    for (const [chain, { wanted }] of this.#open) {
      if (wanted === undefined) remove.push(chain)
      else if (isText(wanted)) write.set(chain, wanted)
    }
    const settled = this.#keepsText
      ? [...this.#settled].flatMap(([chain, rules]) => (isText(rules) ? [[chain, rules] as const] : []))
      : []
    return { write, remove, applied: new Map([...settled, ...this.heldText()]) }
  }

  /**
   * Chains that should be there and are not, in the order in which they were first wanted: no rule in the kernel leads
   * to them.
   */
  fresh(): ReadonlyMap<string, Rules> {
    const fresh = new Map<string, Rules>()
    for (const chain of this.#fresh) {
      const wanted = this.#open.get(chain)?.wanted
      if (isText(wanted)) fresh.set(chain, wanted)
    }
    return fresh
  }

  /** How many {@link fresh} gives. */
  get freshCount(): number {
    return this.#fresh.size
  }

  #wanted(chain: string): Rules | number | undefined {
    return this.#settled.get(chain) ?? this.#open.get(chain)?.wanted
  }

  #set(chain: string, wanted: Open['wanted'], held: Open['held']): void {
    this.#settled.delete(chain)
    this.#printed.delete(chain)
    if (isText(wanted) && held === undefined) this.#fresh.add(chain)
    else this.#fresh.delete(chain)
    if (wanted === undefined && held === undefined) this.#open.delete(chain)
    else if (wanted !== undefined && held !== undefined && held !== 'doubtful' && satisfies(chain, held, wanted))
      this.#settle(chain, wanted, held)
    else this.#open.set(chain, { wanted, held })
  }

  #settle(chain: string, wanted: Rules | number, held: Rules | number): void {
    this.#open.delete(chain)
    const print = fingerprintOf(wanted)
    this.#settled.set(chain, this.#keepsText ? wanted : print)
    if (held !== wanted && fingerprintOf(held) !== print) this.#printed.set(chain, fingerprintOf(held))
  }
}

function isText(rules: Rules | number | string | undefined): rules is Rules {
  return typeof rules === 'object'
}

function fingerprintOf(rules: Rules | number): number {
  return isText(rules) ? fingerprint(rules) : rules
}

function isSame(rules: Rules, known: Rules | number): boolean {
  if (!isText(known)) return fingerprint(rules) === known
  return rules === known || (rules.length === known.length && rules.every((rule, i) => rule === known[i]))
}

/** Whether the chain may stay as it is. */
function satisfies(chain: string, held: Rules | number, wanted: Rules | number): boolean {
  if (!isText(held) || !isText(wanted)) return fingerprintOf(held) === fingerprintOf(wanted)
  // What kubelet has put there besides is none of our business.
  return chain === shared ? wanted.every((rule) => held.includes(rule)) : held === wanted || areSameRules(wanted, held)
}
