// What a pass has written to the kernel.
import type { Table } from './ours.ts'

export interface Written {
  /** Chains written, and those removed. */
  readonly chains: number
  /** Rules written, by table. */
  readonly rules: Readonly<Record<Table, number>>
  readonly restores: number
  readonly bytes: number
}

export const nothing: Written = {
  chains: 0,
  rules: { filter: 0, nat: 0, mangle: 0 },
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
    restores: a.restores + b.restores,
    bytes: a.bytes + b.bytes,
  }
}
