// The rules in built-in chains that lead to ours: where they stand among those of other programs, and how they are put
// right.
import type { IptablesTable } from './iptables.ts'
import { type Place, placeKey, type RulesOwner } from './owner.ts'
import { type NormalForms, parseRule } from './parse-rule.ts'
import { appends, deletes, inserts } from './restore-text.ts'
import { formatRule, type Rule } from './rule.ts'

type BaseChain = 'INPUT' | 'FORWARD' | 'OUTPUT' | 'PREROUTING' | 'POSTROUTING'

export interface Jump {
  readonly table: IptablesTable
  readonly base: BaseChain
  /** Its target is a chain of ours. */
  readonly rule: Rule
  /** `first`: before the rules of other programs, in the order given. `last`: appended. */
  readonly place: 'first' | 'last'
}

/** What puts the jumps of built-in chains right. */
export interface JumpEdits {
  /** Those that are missing, doubled, altered, misplaced or no longer wanted: "filter FORWARD > FAIRLEAD-FORWARD". */
  readonly keys: readonly string[]
  /** Lines for a restore. The positions of the inserts count on the deletes, and on the inserts before them. */
  readonly deletes: readonly string[]
  readonly inserts: readonly string[]
}

export const noEdits: JumpEdits = { keys: [], deletes: [], inserts: [] }

/** Names a jump in logs and as a key. */
export function jumpKey({ table, base, rule }: Jump): string {
  return keyOf({ table, chain: base }, rule.target?.name)
}

function keyOf(base: Place, target: string | undefined): string {
  return `${placeKey(base)} > ${target ?? ''}`
}

/**
 * Compares the jumps wanted in a built-in chain with what it holds. A jump that is there stays where it is, unless it
 * stands before one that it must stand behind: others may have put theirs before it on purpose.
 * @param base the built-in chain
 * @param jumps those wanted in it
 * @param rules what it holds, behind `-A CHAIN `
 */
export function jumpEdits(
  base: Place,
  jumps: readonly Jump[],
  rules: readonly string[],
  { owner, forms }: { owner: Pick<RulesOwner, 'ownsJump' | 'jumpsBehind'>; forms: NormalForms },
): JumpEdits {
  const wanted = jumps.map((jump) => ({ jump, text: formatRule(jump.rule) }))
  const behind = lastOf(rules, owner.jumpsBehind)
  const own = new Set(rules.flatMap((rule, index) => (owner.ownsJump(base, rule) ? [index] : [])))
  const right = new Set<number>()
  const missing = new Set<Jump>()
  for (const { jump, text } of wanted) {
    const found = rules.flatMap((rule, index) => (index > behind && isSame(forms, text, rule) ? [index] : []))
    // Where a jump of ours stands twice, neither place is known to be the right one.
    if (found.length === 1 || found.some((index) => !own.has(index))) for (const index of found) right.add(index)
    else missing.add(jump)
  }
  const wrong = rules.filter((_, index) => own.has(index) && !right.has(index))
  const left = rules.filter((_, index) => !own.has(index) || right.has(index))
  const lines: string[] = []
  let position = lastOf(left, owner.jumpsBehind) + 1
  for (const { jump, text } of wanted) {
    const isMissing = missing.has(jump)
    if (jump.place === 'last') {
      if (isMissing) lines.push(appends(base.chain, text))
    } else if (isMissing) {
      lines.push(inserts(base.chain, position + 1, text))
      left.splice(position, 0, text)
      position += 1
    } else position = Math.max(position, left.findIndex((rule) => isSame(forms, text, rule)) + 1)
  }
  const keys = new Set([
    ...wrong.map((rule) => keyOf(base, parseRule(rule).target?.name)),
    ...Array.from(missing, jumpKey),
  ])
  return { keys: [...keys], deletes: wrong.map((rule) => deletes(base.chain, rule)), inserts: lines }
}

/** A chain of a firewall may hold hundreds of rules: only those that name the target are compared word by word. */
function isSame(forms: NormalForms, written: string, printed: string): boolean {
  if (written === printed) return true
  const target = written.slice(written.lastIndexOf(' ') + 1)
  return printed.includes(target) && forms.same(written, printed)
}

/** The index of the last rule that leads to a chain whose name begins like this; -1 where there is none. */
function lastOf(rules: readonly string[], prefix: string | undefined): number {
  if (prefix === undefined) return -1
  return rules.findLastIndex(
    (rule) => rule.includes(prefix) && parseRule(rule).target?.name.startsWith(prefix) === true,
  )
}
