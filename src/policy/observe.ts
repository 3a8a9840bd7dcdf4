// What the kernel holds of a table of ours. Rules are told by their handles: nft prints them in words of its own, but
// one that was changed, or taken out and put back, has another handle. So what they should be is what they were right
// after we wrote them, as many as we wrote.
import { canonicalAddress } from '../net/address.ts'
import { nthAddress, cidrSize, cidrOf } from '../net/cidr.ts'
import type { Kernel } from '../kernel/kernel.ts'
import { settleAll } from '../runtime/settle-all.ts'
import type { NftFields, NftObject } from '../kernel/nftables.ts'
import { interval } from './ip-blocks.ts'

export interface ObservedTable {
  /** Set or map -> its elements, as {@link TableSet} has them. */
  readonly sets: ReadonlyMap<string, ReadonlyMap<string, string>>
  /** Chain -> the handles of its rules, in order; with the hook of a base chain before them. */
  readonly chains: ReadonlyMap<string, readonly string[]>
  /** Set with counters -> how many packets each element was met by. */
  readonly counts: ReadonlyMap<string, ReadonlyMap<string, number>>
}

/**
 * Everything. nft reads a table as large as hundreds of isolated pods make it in half a second.
 * @returns undefined where there is no such table.
 * @throws {CommandError}
 */
export async function observeTable(kernel: Kernel, table: string): Promise<ObservedTable | undefined> {
  const objects = await kernel.listNft(`table ${table}`)
  if (objects === undefined) return undefined
  const chains = new Map<string, string[]>()
  for (const { chain } of objects) if (chain !== undefined) chains.set(text(chain['name']), hookOf(chain))
  for (const { rule } of objects) if (rule !== undefined) chains.get(text(rule['chain']))?.push(text(rule['handle']))
  return { sets: setsOf(objects), chains, counts: countsOf(objects) }
}

/** A few maps or sets alone, which takes milliseconds; those that are not there are left out. @throws {CommandError} */
export async function observeSets(
  kernel: Kernel,
  table: string,
  names: readonly { kind: 'set' | 'map'; name: string }[],
): Promise<Pick<ObservedTable, 'sets' | 'counts'>> {
  const lists = await settleAll(names.map(async ({ kind, name }) => kernel.listNft(`${kind} ${table} ${name}`)))
  const objects = lists.flatMap((objects) => objects ?? [])
  return { sets: setsOf(objects), counts: countsOf(objects) }
}

/** Set or map -> its elements, as {@link TableSet} has them. */
export function setsOf(objects: readonly NftObject[]): ReadonlyMap<string, ReadonlyMap<string, string>> {
  return new Map(
    objects.flatMap(({ set, map }) =>
      [set, map].flatMap((each) => (each === undefined ? [] : [[text(each['name']), elementsOf(each)] as const])),
    ),
  )
}

export function countsOf(objects: readonly NftObject[]): ObservedTable['counts'] {
  const counted = objects.flatMap(({ set }) => (set?.['stmt'] === undefined ? [] : [set]))
  return new Map(
    counted.map((set) => [
      text(set['name']),
      new Map(((set['elem'] ?? []) as readonly unknown[]).map((element) => [elementText(element), packetsOf(element)])),
    ]),
  )
}

function packetsOf(element: unknown): number {
  return (element as { elem?: { counter?: { packets?: number } } }).elem?.counter?.packets ?? 0
}

function elementsOf(fields: NftFields): ReadonlyMap<string, string> {
  const elements = (fields['elem'] ?? []) as readonly unknown[]
  const isMap = fields['map'] !== undefined
  return new Map(
    elements.map((element) =>
      isMap && Array.isArray(element) ? [elementText(element[0]), verdictText(element[1])] : [elementText(element), ''],
    ),
  )
}

/** A hook that was taken off, or another policy, is no rule that could be put back. */
function hookOf({ hook, prio, policy }: NftFields): string[] {
  return hook === undefined ? [] : [`${text(hook)} ${text(prio)} ${text(policy)}`]
}

function verdictText(verdict: unknown): string {
  const { jump } = verdict as { jump?: { target?: unknown } }
  return jump === undefined ? JSON.stringify(verdict) : `jump ${text(jump.target)}`
}

/** As we write elements, whatever form nft has for them. */
function elementText(element: unknown): string {
  if (typeof element !== 'object' || element === null) return addressText(text(element))
  const { elem, concat, range, prefix } = element as {
    elem?: { val?: unknown }
    concat?: readonly unknown[]
    range?: readonly [unknown, unknown]
    prefix?: { addr?: unknown; len?: unknown }
  }
  if (elem !== undefined) return elementText(elem.val)
  if (concat !== undefined) return concat.map(elementText).join(' . ')
  if (range !== undefined) return interval(elementText(range[0]), elementText(range[1]))
  if (prefix !== undefined) return prefixText(text(prefix.addr), Number(prefix.len))
  return JSON.stringify(element)
}

function prefixText(address: string, length: number): string {
  const network = canonicalAddress(address)
  if (network === undefined) return `${address}/${length}`
  const cidr = cidrOf(network, length)
  return interval(network, nthAddress(cidr, cidrSize(cidr) - 1n))
}

function addressText(value: string): string {
  return value.includes(':') ? (canonicalAddress(value) ?? value) : value
}

function text(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : JSON.stringify(value)
}
