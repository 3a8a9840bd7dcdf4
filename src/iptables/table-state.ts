// The chains of one table that have the same owner: what they should hold, and what we know them to hold.
//
// Of a chain that holds what it should, only the fingerprint is kept. A chain that differs is kept as text, wanted and
// held, until both agree. So the state costs what differs, and a name and a number a chain. Where an audit finds another
// fingerprint in the kernel, the chain is rendered again.
import { fingerprint } from './fingerprint.ts'
import type { IptablesTable } from './iptables.ts'
import type { RulesOwner } from './owner.ts'
import type { NormalForms } from './parse-rule.ts'
import { formatRule, type Rule } from './rule.ts'

/** Rules of a chain as text, without `-A CHAIN `. */
export type Lines = readonly string[]

/** A chain as it should be. */
export interface ChainText {
  readonly lines: Lines
  /** The chains and targets that its rules lead to. */
  readonly calls: readonly string[]
}

/** A chain of which single rules are deleted and appended. */
export interface ChainEdit extends ChainText {
  readonly deletes: Lines
  readonly appends: Lines
}

/** From what is in force to what should be. */
export interface Difference {
  /** Chain -> all of its rules. */
  readonly write: ReadonlyMap<string, ChainText>
  readonly edit: ReadonlyMap<string, ChainEdit>
  readonly remove: readonly string[]
  /** What is in force of chains that differ, as far as its text is known. */
  readonly applied: ReadonlyMap<string, Lines>
}

/** A chain that does not hold what it should, or whose content is not known. */
interface Open {
  /** Undefined: it is not wanted. A number: the fingerprint of what has to be rendered again. */
  readonly wanted: ChainText | number | undefined
  /**
   * Undefined: it does not exist. Doubtful: it may exist, with any content, because a restore that named it has failed.
   */
  readonly held: Lines | number | 'doubtful' | undefined
}

export class TableState {
  readonly #table: IptablesTable
  readonly #owner: RulesOwner
  readonly #keepsText: boolean
  readonly #forms: NormalForms
  /** Chains that hold what they should: the fingerprint, or the text. None of them is in #open. */
  readonly #settled = new Map<string, ChainText | number>()
  readonly #open = new Map<string, Open>()
  /** Of these, those that do not exist and whose rules are known. */
  readonly #fresh = new Set<string>()
  /** Fingerprints of settled chains as this iptables prints them, where it prints them differently. */
  readonly #printed = new Map<string, number>()

  constructor(parts: { table: IptablesTable; owner: RulesOwner; forms: NormalForms }) {
    this.#table = parts.table
    this.#owner = parts.owner
    this.#keepsText = parts.owner.textTables.includes(parts.table)
    this.#forms = parts.forms
  }

  /** Chains that are wanted. */
  get size(): number {
    let size = this.#settled.size
    for (const { wanted } of this.#open.values()) if (wanted !== undefined) size += 1
    return size
  }

  /** Chains that are wanted. */
  *wanted(): Generator<string> {
    yield* this.#settled.keys()
    for (const [chain, { wanted }] of this.#open) if (wanted !== undefined) yield chain
  }

  /** Chains that exist, as far as we know. */
  *held(): Generator<string> {
    yield* this.#settled.keys()
    for (const [chain, { held }] of this.#open) if (held !== undefined) yield chain
  }

  /** What chains hold that differ, as far as its text is known. */
  *heldText(): Generator<readonly [chain: string, lines: Lines]> {
    for (const [chain, { held }] of this.#open) if (isLines(held)) yield [chain, held]
  }

  isSettled(chain: string): boolean {
    return this.#settled.has(chain)
  }

  /** Tells whether a chain with this fingerprint is a settled chain as it should be. */
  agrees(chain: string, print: number): boolean {
    const settled = this.#settled.get(chain)
    return settled !== undefined && (print === printOf(settled) || print === this.#printed.get(chain))
  }

  /** Takes note that this iptables prints a settled chain like this. */
  printedAs(chain: string, lines: Lines): void {
    if (this.#settled.has(chain)) this.#printed.set(chain, fingerprint(lines))
  }

  want(chain: string, rules: readonly Rule[]): void {
    const settled = this.#settled.get(chain)
    const text = chainText(rules)
    if (settled === undefined) this.#set(chain, text, this.#open.get(chain)?.held)
    else if (!isSame(text, settled)) this.#set(chain, text, isText(settled) ? settled.lines : settled)
  }

  unwant(chain: string): void {
    const settled = this.#settled.get(chain)
    this.#set(chain, undefined, isText(settled) ? settled.lines : (settled ?? this.#open.get(chain)?.held))
  }

  /** Takes note that the kernel holds the chain like this. */
  learn(chain: string, lines: Lines): void {
    this.#set(chain, this.#wanted(chain), lines)
  }

  /** Takes note that the chain does not exist. */
  learnGone(chain: string): void {
    this.#set(chain, this.#wanted(chain), undefined)
  }

  /** Takes note that nobody knows what the chain holds. */
  doubt(chain: string): void {
    this.#set(chain, this.#wanted(chain), 'doubtful')
  }

  /** Chains whose rules have to be rendered and given to {@link want} before there is a {@link difference}. */
  get unrendered(): ReadonlySet<string> {
    return new Set([...this.#open].filter(([, { wanted }]) => typeof wanted === 'number').map(([chain]) => chain))
  }

  difference(): Difference {
    const write = new Map<string, ChainText>()
    const edit = new Map<string, ChainEdit>()
    const remove: string[] = []
    for (const [chain, { wanted, held }] of this.#open) {
      if (wanted === undefined) {
        if (this.#owner.owns(this.#table, chain)) remove.push(chain)
      } else if (isText(wanted)) {
        if (isLines(held) && this.#kind(chain) !== 'sequence') edit.set(chain, this.#edit(chain, wanted, held))
        else write.set(chain, wanted)
      }
    }
    return { write, edit, remove, applied: new Map(this.heldText()) }
  }

  /** Chains that are wanted and do not exist, in the order in which they were first wanted: no rule leads to them. */
  fresh(): ReadonlyMap<string, ChainText> {
    const fresh = new Map<string, ChainText>()
    for (const chain of this.#fresh) {
      const wanted = this.#open.get(chain)?.wanted
      if (isText(wanted)) fresh.set(chain, wanted)
    }
    return fresh
  }

  /** The number of chains that {@link fresh} returns. */
  get freshCount(): number {
    return this.#fresh.size
  }

  /** Tells whether a chain that reads like this is as wanted, in the words of whatever iptables. */
  isSame(chain: string, wanted: Lines, printed: Lines): boolean {
    switch (this.#kind(chain)) {
      case 'sequence':
        return this.#forms.sameAll(wanted, printed)
      case 'set':
        return wanted.length === printed.length && leftOver(this.#forms, wanted, printed).missing.length === 0
      case 'shared':
        return leftOver(this.#forms, wanted, printed).missing.length === 0
    }
  }

  #kind(chain: string): ReturnType<RulesOwner['kindOf']> {
    return this.#owner.kindOf(this.#table, chain)
  }

  #edit(chain: string, wanted: ChainText, held: Lines): ChainEdit {
    const { missing, surplus } = leftOver(this.#forms, wanted.lines, held)
    return { ...wanted, appends: missing, deletes: this.#kind(chain) === 'shared' ? [] : surplus }
  }

  #wanted(chain: string): ChainText | number | undefined {
    return this.#settled.get(chain) ?? this.#open.get(chain)?.wanted
  }

  #set(chain: string, wanted: Open['wanted'], held: Open['held']): void {
    this.#settled.delete(chain)
    this.#printed.delete(chain)
    if (isText(wanted) && held === undefined) this.#fresh.add(chain)
    else this.#fresh.delete(chain)
    if (wanted === undefined && held === undefined) this.#open.delete(chain)
    else if (wanted !== undefined && held !== undefined && held !== 'doubtful' && this.#satisfies(chain, held, wanted))
      this.#settle(chain, wanted, held)
    else this.#open.set(chain, { wanted, held })
  }

  #settle(chain: string, wanted: ChainText | number, held: Lines | number): void {
    this.#open.delete(chain)
    const print = printOf(wanted)
    this.#settled.set(chain, this.#keepsText ? wanted : print)
    const heldPrint = typeof held === 'number' ? held : fingerprint(held)
    if (heldPrint !== print) this.#printed.set(chain, heldPrint)
  }

  /** Tells whether the chain may stay as it is. */
  #satisfies(chain: string, held: Lines | number, wanted: ChainText | number): boolean {
    if (!isLines(held) || !isText(wanted)) return (isLines(held) ? fingerprint(held) : held) === printOf(wanted)
    return held === wanted.lines || this.isSame(chain, wanted.lines, held)
  }
}

/** Returns what each side has that the other lacks, in order. */
export function leftOver(
  forms: NormalForms,
  wanted: Lines,
  held: Lines,
): { readonly missing: string[]; readonly surplus: string[] } {
  const surplus = [...held]
  // Nearly all are word for word the same: only what is left over is compared in normal form.
  const different = wanted.filter((rule) => !takeFirst(surplus, (printed) => printed === rule))
  const missing = different.filter((rule) => !takeFirst(surplus, (printed) => forms.same(rule, printed)))
  return { missing, surplus }
}

function takeFirst(rules: string[], found: (rule: string) => boolean): boolean {
  const index = rules.findIndex(found)
  if (index !== -1) rules.splice(index, 1)
  return index !== -1
}

function chainText(rules: readonly Rule[]): ChainText {
  const calls = new Set<string>()
  for (const { target } of rules) if (target !== undefined) calls.add(target.name)
  return { lines: rules.map(formatRule), calls: [...calls] }
}

function isLines(held: Open['held']): held is Lines {
  return typeof held === 'object'
}

function isText(wanted: Open['wanted']): wanted is ChainText {
  return typeof wanted === 'object'
}

function printOf(wanted: ChainText | number): number {
  return isText(wanted) ? fingerprint(wanted.lines) : wanted
}

function isSame(text: ChainText, known: ChainText | number): boolean {
  if (!isText(known)) return fingerprint(text.lines) === known
  const { lines } = known
  return lines.length === text.lines.length && lines.every((line, i) => line === text.lines[i])
}
