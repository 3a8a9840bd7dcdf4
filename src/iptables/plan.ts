// From the differences of the tables to runs of iptables-restore, in the order in which no packet falls between two of
// them: pure.
//
// A Service that loses its last endpoint: table filter refuses its traffic before table nat stops sending it anywhere.
// One that gets its first: table nat sends before table filter lets go. So filter is written twice where both happen:
// first with the rules that come and those that go, at last without the latter.
//
// nft: a restore costs the square of its chains, so many are written in pieces, each after the chains that it calls;
// what is stale goes afterwards. legacy: a restore copies the whole table whatever it changes, so all is one restore.
import type { IptablesBackend, IptablesTable } from './iptables.ts'
import { type JumpEdits, noEdits } from './jumps.ts'
import { appends, deletes, removes, restoreText } from './restore-text.ts'
import type { ChainEdit, ChainText, Difference, Lines } from './table-state.ts'

export interface TableInput extends Difference {
  readonly jumps: JumpEdits
}

/** One run of iptables-restore, and what is in force when it has succeeded. */
export interface Transaction {
  readonly text: string
  readonly table: IptablesTable
  readonly writes: ReadonlyMap<string, Lines>
  readonly removes: readonly string[]
}

/**
 * Chains in one piece on nft: measured, 600 to 1,200 cost the same, fewer cost more starts of a program, and one piece
 * of 40,000 takes minutes.
 */
const chainsInPiece = 1200

/** Tells whether so many chains may be written before the rest is known. */
export function isWorthARestore(backend: IptablesBackend, chains: number): boolean {
  return backend === 'nft' && chains >= chainsInPiece
}

/**
 * Plans the write of chains that no rule leads to yet: no packet meets them, whenever they are written.
 * @param fresh callees first
 */
export function planPrewrite(fresh: ReadonlyMap<string, ChainText>): Transaction[] {
  return [transaction('nat', { ...nothing, write: fresh })]
}

/** @param inputs in the order in which tables are written */
export function planTransactions(
  backend: IptablesBackend,
  inputs: ReadonlyMap<IptablesTable, TableInput>,
  { filterInTwoSteps }: { filterInTwoSteps: boolean },
): Transaction[] {
  const size = backend === 'nft' ? chainsInPiece : Number.MAX_SAFE_INTEGER
  const nat = inputs.get('nat')
  const late = new Map<string, ChainText>()
  const transactions: Transaction[] = []
  const last: Transaction[] = []
  for (const [table, input] of inputs) {
    const twice = table === 'filter' && filterInTwoSteps && nat !== undefined && nat.write.size + nat.remove.length > 0
    // On legacy, where a restore copies the table anyway, to remove in the same one costs nothing.
    const removesAtOnce = table === 'nat' && backend === 'legacy'
    const write = twice ? inTwoSteps(input, late) : input.write
    transactions.push(...restores(table, { ...input, write, remove: removesAtOnce ? input.remove : [] }, size))
    if (table === 'filter' && late.size > 0) {
      last.push(transaction(table, { ...nothing, write: late, remove: input.remove }))
    } else if (!removesAtOnce) last.push(...removals(table, input.remove, size))
  }
  return [...transactions, ...last]
}

interface Work extends Pick<Difference, 'write' | 'edit' | 'remove'> {
  readonly jumps: JumpEdits
}

const nothing: Work = { write: new Map(), edit: new Map(), remove: [], jumps: noEdits }

/**
 * Returns what is written early: what comes is in force before table nat changes, what goes until it has.
 * @param late receives what is written at last
 */
function inTwoSteps({ write, applied }: TableInput, late: Map<string, ChainText>): Map<string, ChainText> {
  const early = new Map<string, ChainText>()
  for (const [chain, text] of write) {
    const [wanted, held] = [new Set(text.lines), new Set(applied.get(chain))]
    const going = [...held].filter((rule) => !wanted.has(rule))
    if (going.length === 0 || text.lines.some((rule) => !held.has(rule)))
      early.set(chain, { ...text, lines: [...text.lines, ...going] })
    if (going.length > 0) late.set(chain, text)
  }
  return early
}

function restores(table: IptablesTable, work: Work, size: number): Transaction[] {
  const { write, edit, remove, jumps } = work
  if (write.size + edit.size + remove.length + jumps.deletes.length + jumps.inserts.length === 0) return []
  if (write.size <= size) return [transaction(table, work)]
  const pieces = inPieces(calleesFirst(write), size).map((piece) => new Map(piece))
  return pieces.map((piece, i) =>
    transaction(table, i === pieces.length - 1 ? { ...work, write: piece } : { ...nothing, write: piece }),
  )
}

/** Chains that only chains of these call: where it takes several pieces, all are emptied first. */
function removals(table: IptablesTable, chains: readonly string[], size: number): Transaction[] {
  const pieces = inPieces(chains, size)
  const empty = { lines: [], calls: [] }
  const emptied =
    pieces.length > 1
      ? pieces.map((piece) => transaction(table, { ...nothing, write: new Map(piece.map((chain) => [chain, empty])) }))
      : []
  return [...emptied, ...pieces.map((piece) => transaction(table, { ...nothing, remove: piece }))]
}

function transaction(table: IptablesTable, { write, edit, remove, jumps }: Work): Transaction {
  // Backwards: iptables keeps its chains sorted and looks for each one's place from the front. Measured with 10,000
  // Services, a third less of its CPU on legacy, a fifth on nft.
  const declare = [...write.keys(), ...remove].toSorted().toReversed()
  const each = (of: (edit: ChainEdit) => Lines, line: (chain: string, rule: string) => string): string[] =>
    [...edit].flatMap(([chain, change]) => of(change).map((rule) => line(chain, rule)))
  const lines = [
    ...jumps.deletes,
    ...each((change) => change.deletes, deletes),
    ...[...write].flatMap(([chain, text]) => text.lines.map((rule) => appends(chain, rule))),
    ...each((change) => change.appends, appends),
    ...jumps.inserts,
    ...remove.map(removes),
  ]
  return {
    text: restoreText([{ table, declare, lines }]),
    table,
    writes: new Map([...write, ...edit].map(([chain, text]) => [chain, text.lines])),
    removes: remove,
  }
}

/** Orders chains so that each stands after every one of them that it calls: any number from the front is whole. */
function calleesFirst(chains: ReadonlyMap<string, ChainText>): (readonly [string, ChainText])[] {
  const ordered = new Map<string, ChainText>()
  const visit = (chain: string, text: ChainText): void => {
    if (ordered.has(chain)) return
    for (const callee of text.calls) {
      const called = chains.get(callee)
      if (called !== undefined) visit(callee, called)
    }
    ordered.set(chain, text)
  }
  for (const [chain, text] of chains) visit(chain, text)
  return [...ordered]
}

function inPieces<T>(all: readonly T[], size: number): T[][] {
  const count = Math.ceil(all.length / size)
  return Array.from({ length: count }, (_, i) => all.slice(i * size, (i + 1) * size))
}
