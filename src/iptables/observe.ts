// Reads what a table holds of one owner's chains and of the built-in chains that lead there. A whole table is read line
// by line and compared as it comes, so that nothing is kept of chains that are as they should be.
import type { Family } from '../net/address.ts'
import { settleAll } from '../runtime/settle-all.ts'
import { Fingerprint, fingerprint } from './fingerprint.ts'
import type { Iptables, IptablesTable } from './iptables.ts'
import type { RulesOwner } from './owner.ts'
import { ruleTexts, splitLine } from './parse-rule.ts'
import type { Lines } from './table-state.ts'

export interface ObservedTable {
  /** Every chain of the owner that exists -> its rules; undefined where it agrees. */
  readonly chains: ReadonlyMap<string, Lines | undefined>
  /** Built-in chains that may hold jumps of the owner -> their rules. */
  readonly bases: ReadonlyMap<string, Lines>
}

/** Tells whether rules with that fingerprint are what the chain should hold. */
export type Agrees = (chain: string, print: number) => boolean

/** @throws {CommandError} */
export async function observeTable(
  iptables: Iptables,
  owner: RulesOwner,
  { family, table }: { family: Family; table: IptablesTable },
  agrees: Agrees,
): Promise<ObservedTable> {
  const bases = owner.bases.filter((base) => base.table === table).map(({ chain }) => chain)
  const names = owner.chains?.filter((place) => place.table === table).map(({ chain }) => chain)
  if (names === undefined) return readWhole(iptables, owner, { family, table, bases }, agrees)
  const read = async (chain: string): Promise<readonly [string, Lines | undefined]> => {
    const lines = await iptables.rulesOf(family, table, chain)
    return [chain, lines && ruleTexts(lines)]
  }
  const [found, held] = [await settleAll(names.map(read)), await settleAll(bases.map(read))]
  return {
    chains: new Map(
      found.flatMap(([chain, lines]) =>
        lines === undefined ? [] : [[chain, agrees(chain, fingerprint(lines)) ? undefined : lines] as const],
      ),
    ),
    bases: new Map(held.map(([chain, lines]) => [chain, lines ?? []])),
  }
}

interface Printed {
  readonly chain: string
  readonly lines: string[]
  readonly print: Fingerprint
}

const empty: Lines = []

async function readWhole(
  iptables: Iptables,
  owner: RulesOwner,
  { family, table, bases: names }: { family: Family; table: IptablesTable; bases: readonly string[] },
  agrees: Agrees,
): Promise<ObservedTable> {
  const chains = new Map<string, Lines | undefined>()
  const bases = new Map<string, string[]>(names.map((base) => [base, []]))
  // iptables-save prints all rules of a chain together.
  let current: Printed | undefined
  const finish = (): void => {
    if (current !== undefined)
      chains.set(current.chain, agrees(current.chain, current.print.value) ? undefined : current.lines)
  }
  await iptables.readTable(family, table, (line) => {
    const split = splitLine(line)
    if (split === undefined) return
    const { chain, rule } = split
    const ours = chain === current?.chain || owner.owns(table, chain) || owner.kindOf(table, chain) === 'shared'
    if (rule === undefined) {
      if (ours) chains.set(chain, empty)
    } else if (!ours) bases.get(chain)?.push(rule)
    else {
      if (current?.chain !== chain) {
        finish()
        current = { chain, lines: [], print: new Fingerprint() }
      }
      current.lines.push(rule)
      current.print.add(rule)
    }
  })
  finish()
  const nothing = new Fingerprint().value
  for (const [chain, lines] of chains) if (lines === empty && agrees(chain, nothing)) chains.set(chain, undefined)
  return { chains, bases }
}
