// What a table holds of ours, read line by line and compared as it comes: of what is as it should be, nothing is kept.
import type { Family } from '../../net/address.ts'
import type { Iptables } from '../../iptables/iptables.ts'
import type { Rules } from '../rendered.ts'
import { basesOf, type ObservedBases } from './base-jumps.ts'
import { Fingerprint } from './fingerprint.ts'
import { isOurs, shared, type Table } from './ours.ts'

export interface ObservedTable {
  /** Every chain of ours that is there -> its rules; undefined where it agrees. */
  readonly chains: ReadonlyMap<string, Rules | undefined>
  readonly bases: ObservedBases
}

/** @param agrees whether rules with that fingerprint are what the chain should hold. */
export async function observeTable(
  iptables: Iptables,
  family: Family,
  table: Table,
  agrees: (chain: string, print: number) => boolean,
): Promise<ObservedTable> {
  const chains = new Map<string, Rules | undefined>()
  const bases = new Map<string, string[]>(table === 'mangle' ? [] : basesOf(table).map((base) => [base, []]))
  // iptables-save prints all rules of a chain together.
  let current: Printed | undefined
  const finish = (): void => {
    if (current !== undefined)
      chains.set(current.chain, agrees(current.chain, current.print.value) ? undefined : current.rules)
  }
  await iptables.readTable(family, table, (line) => {
    const [, chain = '', rule = ''] = /^(?::|-A )(\S+)(?: (.*))?$/.exec(line) ?? []
    const ours = isOurs(table, chain) || (table === 'filter' && chain === shared)
    if (line.startsWith(':')) {
      if (ours) chains.set(chain, empty)
    } else if (!ours) bases.get(chain)?.push(rule)
    else {
      if (current?.chain !== chain) {
        finish()
        current = { chain, rules: [], print: new Fingerprint() }
      }
      current.rules.push(rule)
      current.print.add(rule)
    }
  })
  finish()
  const nothing = new Fingerprint().value
  for (const [chain, rules] of chains) if (rules === empty && agrees(chain, nothing)) chains.set(chain, undefined)
  return { chains, bases }
}

interface Printed {
  readonly chain: string
  readonly rules: string[]
  readonly print: Fingerprint
}

const empty: Rules = []
