// What a pass has written to the kernel.
import type { Rules } from '../rendered.ts'
import type { Table } from './ours.ts'

export interface Written {
  /** Chains written, and those removed. */
  readonly chains: number
  /** Rules written, by table. */
  readonly rules: Readonly<Record<Table, number>>
  /** Of table nat: what UDP flows may still go to. */
  readonly removed: ReadonlyMap<string, Rules>
  readonly restores: number
  readonly bytes: number
}

export const nothing: Written = {
  chains: 0,
  rules: { filter: 0, nat: 0, mangle: 0 },
  removed: new Map(),
  restores: 0,
  bytes: 0,
}

export function inAll(a: Written, b: Written): Written {
  return {
    chains: a.chains + b.chains,
    rules: {
      filter: a.rules.filter + b.rules.filter,
      nat: a.rules.nat + b.rules.nat,
      mangle: a.rules.mangle + b.rules.mangle,
    },
    removed: new Map([...a.removed, ...b.removed]),
    restores: a.restores + b.restores,
    bytes: a.bytes + b.bytes,
  }
}
