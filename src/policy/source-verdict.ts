// What `bridge fairlead` does with what a pod sends, as nft lists the table (wires.ts says what it is for). Pure.
import type { NftObject } from '../kernel/nftables.ts'
import { type Address, familyOf } from '../net/address.ts'
import { countsOf, setsOf } from './observe.ts'
import { countingSets } from './wires.ts'

export interface SourceVerdict {
  /** Where it is looked up, and by what: "sources4", "veth1a2b . 10.244.1.5". */
  readonly set: string
  readonly element: string
  readonly passes: boolean
  /** Packets that the pod has sent with a source that is not its own. */
  readonly dropped: number
}

/** @param port the host end of the pod's wire @returns undefined for a pod that may send what it likes */
export function sourceVerdict(objects: readonly NftObject[], port: string, source: Address): SourceVerdict | undefined {
  const sets = setsOf(objects)
  if (sets.get('senders')?.has(port) !== true) return undefined
  const [set, element] = [`sources${familyOf(source)}`, `${port} . ${source}`]
  return {
    set,
    element,
    passes: sets.get(set)?.has(element) === true,
    dropped: countsOf(objects).get(countingSets.source)?.get(port) ?? 0,
  }
}
