// What a table holds of ours, read line by line and compared as it comes: what is as it should be is not kept.
import type { Family } from '../../net/address.ts'
import type { Kernel } from '../../kernel/kernel.ts'
import type { Rules } from '../rendered.ts'
import { basesOf, type ObservedBases } from './base-jumps.ts'
import { isOurs, shared, type Table } from './ours.ts'

export interface ObservedTable {
  /** Chain -> its rules; where they are the wanted ones, those very objects. */
  readonly chains: ReadonlyMap<string, Rules>
  readonly bases: ObservedBases
}

export async function observeTable(kernel: Kernel, family: Family, table: Table, desired: ReadonlyMap<string, Rules>): Promise<ObservedTable> {
  const chains = new Map<string, Chain>()
  const bases = new Map<string, string[]>(table === 'mangle' ? [] : basesOf(table).map((base) => [base, []]))
  await kernel.readTable(family, table, (line) => {
    const [, chain = '', rule = ''] = /^(?::|-A )(\S+)(?: (.*))?$/.exec(line) ?? []
    const ours = isOurs(table, chain) || (table === 'filter' && chain === shared)
    if (line.startsWith(':')) {
      if (ours) chains.set(chain, { wanted: desired.get(chain), agreed: 0, printed: undefined })
    } else if (ours) addRule(chains.get(chain), rule)
    else bases.get(chain)?.push(rule)
  })
  return { chains: new Map([...chains].map(([name, chain]) => [name, held(chain)])), bases }
}

interface Chain {
  readonly wanted: Rules | undefined
  /** So many rules from the first were word for word the wanted ones. */
  agreed: number
  /** From the first that was not: all of them. */
  printed: string[] | undefined
}

function addRule(chain: Chain | undefined, rule: string): void {
  if (chain === undefined) return
  if (chain.printed === undefined && chain.wanted?.[chain.agreed] === rule) chain.agreed += 1
  else {
    chain.printed ??= chain.wanted?.slice(0, chain.agreed) ?? []
    chain.printed.push(rule)
  }
}

function held({ wanted, agreed, printed }: Chain): Rules {
  return printed ?? (wanted?.length === agreed ? wanted : (wanted?.slice(0, agreed) ?? []))
}
