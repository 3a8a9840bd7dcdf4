// From what iptables holds to what it should hold, as the least text for iptables-restore: pure.
import type { IptablesTable } from '../../iptables/iptables.ts'
import { baseChains, type Chain, type Jump, ourChains, placeKey, type RuleSet } from './rule-set.ts'
import type { Spellings } from './spellings.ts'

/** The rules of chains by {@link placeKey}, as `iptables -S` prints them; a chain that isn't there is absent. */
export type ObservedChains = ReadonlyMap<string, readonly string[]>

/** One chain or jump that differs, and what puts it right. */
export interface Edit {
  readonly table: IptablesTable
  /** What it is about: `nat FAIRLEAD-EGRESS`, or `nat POSTROUTING > FAIRLEAD-EGRESS` for a jump. */
  readonly object: string
  /** `:CHAIN - [0:0]`: makes the chain, or empties it. */
  readonly declare?: string
  readonly lines: readonly string[]
}

/** The chains of ours that differ. */
export function diffChains(desired: RuleSet, observed: ObservedChains, spellings: Spellings): Edit[] {
  const wanted = new Set(desired.chains.map(placeKey))
  const removed = ourChains.filter((place) => !wanted.has(placeKey(place)) && observed.has(placeKey(place)))
  return [
    ...desired.chains.flatMap((chain) => diffChain(chain, observed.get(placeKey(chain)), spellings) ?? []),
    ...removed.map(({ table, name }) => ({
      table,
      object: placeKey({ table, name }),
      declare: `:${name} - [0:0]`,
      lines: [`-X ${name}`],
    })),
  ]
}

/** The jumps to our chains that are missing, doubled, altered, misplaced or no longer wanted. */
export function diffJumps(desired: RuleSet, observed: ObservedChains, spellings: Spellings): Edit[] {
  return baseChains.flatMap(({ table, name: base }) => {
    const jumps = desired.jumps.filter((jump) => jump.table === table && jump.base === base)
    return diffBase({ table, base, jumps, rules: observed.get(placeKey({ table, name: base })) ?? [] }, spellings)
  })
}

/**
 * The edits as text for one `iptables-restore --noflush`; empty for none. In each table the chains are there before a
 * rule names them, and no rule names a chain any more when it goes. Deletions come before insertions, whose positions
 * count on it.
 */
export function restoreText(edits: readonly Edit[]): string {
  const tables = [...new Set(edits.map(({ table }) => table))]
  return tables
    .map((table) => {
      const own = edits.filter((edit) => edit.table === table)
      const phases = Map.groupBy(
        own.flatMap((edit) => edit.lines),
        (line) => (line.startsWith('-D ') ? 'rules out' : line.startsWith('-X ') ? 'chains out' : 'rules in'),
      )
      const lines = [
        ...(phases.get('rules out') ?? []),
        ...(phases.get('rules in') ?? []),
        ...(phases.get('chains out') ?? []),
      ]
      return [`*${table}`, ...own.flatMap((edit) => edit.declare ?? []), ...lines, 'COMMIT', ''].join('\n')
    })
    .join('')
}

/** Each chain and jump as text, by its {@link Edit.object}: two sets that agree on an object want the same of it. */
export function describeRules({ chains, jumps }: RuleSet): Map<string, string> {
  return new Map([
    ...chains.map((chain) => [placeKey(chain), chain.rules.join('\n')] as const),
    ...jumps.map((jump) => [jumpKey(jump), jump.rule] as const),
  ])
}

/** What each side has that the other lacks, in order. */
export function leftOver(
  rules: readonly string[],
  observed: readonly string[],
  spellings: Spellings,
): { missing: string[]; surplus: string[] } {
  const surplus = [...observed]
  const missing = rules.filter((rule) => {
    const index = surplus.findIndex((printed) => spellings.same(rule, printed))
    if (index !== -1) surplus.splice(index, 1)
    return index === -1
  })
  return { missing, surplus }
}

function diffChain(chain: Chain, observed: readonly string[] | undefined, spellings: Spellings): Edit | undefined {
  const { table, name, rules } = chain
  const object = placeKey(chain)
  const declare = `:${name} - [0:0]`
  if (observed === undefined) return { table, object, declare, lines: rules }
  if (chain.order === 'set') {
    const { missing, surplus } = leftOver(rules, observed, spellings)
    return missing.length + surplus.length === 0
      ? undefined
      : { table, object, lines: [...surplus.map(deletion), ...missing] }
  }
  const same = rules.length === observed.length && rules.every((rule, i) => spellings.same(rule, observed[i] ?? ''))
  return same ? undefined : { table, object, declare, lines: rules }
}

interface Base {
  readonly table: IptablesTable
  readonly base: string
  readonly jumps: readonly Jump[]
  /** Of all programs, in their order. */
  readonly rules: readonly string[]
}

function diffBase({ table, base, jumps, rules }: Base, spellings: Spellings): Edit[] {
  const isOurs = (rule: string) => ourChains.some((chain) => chain.table === table && chain.name === targetOf(rule))
  const right = new Set(jumps.filter((jump) => standsRight(jump, rules, spellings)).map(({ target }) => target))
  const wrong = rules.filter((rule) => isOurs(rule) && !right.has(targetOf(rule)))
  const kept = rules.filter((rule) => !wrong.includes(rule))
  const removals = [...new Set(wrong.map(targetOf))].map((target) => ({
    table,
    object: jumpKey({ table, base, target }),
    lines: wrong.filter((rule) => targetOf(rule) === target).map(deletion),
  }))
  const insertions = jumps
    .filter(({ target }) => !right.has(target))
    .map((jump) => ({
      table,
      object: jumpKey(jump),
      lines: [
        jump.place === 'last' ? jump.rule : jump.rule.replace(`-A ${base}`, `-I ${base} ${lastKubeJump(kept) + 2}`),
      ],
    }))
  return mergeByObject([...removals, ...insertions])
}

function jumpKey({ table, base, target }: { table: IptablesTable; base: string; target: string }): string {
  return `${table} ${base} > ${target}`
}

/** There once, unaltered, and after kube-proxy's. Rules of others around it are theirs to place. */
function standsRight(jump: Jump, rules: readonly string[], spellings: Spellings): boolean {
  const there = rules.flatMap((rule, index) => (targetOf(rule) === jump.target ? [{ rule, index }] : []))
  const [only] = there
  return (
    only !== undefined && there.length === 1 && spellings.same(jump.rule, only.rule) && only.index > lastKubeJump(rules)
  )
}

function lastKubeJump(rules: readonly string[]): number {
  return rules.findLastIndex((rule) => targetOf(rule).startsWith('KUBE-'))
}

/** The chain that a jump leads to, or the name of another target. */
function targetOf(rule: string): string {
  return /.* -[jg] (\S+)/.exec(rule)?.[1] ?? ''
}

function deletion(rule: string): string {
  return rule.replace(/^-A /, '-D ')
}

function mergeByObject(edits: readonly Edit[]): Edit[] {
  const groups = Map.groupBy(edits, ({ object }) => object)
  return [...groups.values()].flatMap(([first, ...rest]) =>
    first === undefined ? [] : [{ ...first, lines: [first, ...rest].flatMap((edit) => edit.lines) }],
  )
}
