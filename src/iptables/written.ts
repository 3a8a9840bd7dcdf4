// What a reconcile has written to the kernel.
import type { IptablesTable } from './iptables.ts'

export interface Written {
  /** Chains written, and those removed. */
  readonly chains: number
  /** Rules written, by table. */
  readonly rules: Readonly<Record<IptablesTable, number>>
  readonly restores: number
  readonly bytes: number
}

export const nothingWritten: Written = {
  chains: 0,
  rules: { filter: 0, nat: 0, mangle: 0, raw: 0 },
  restores: 0,
  bytes: 0,
}

export function sumWritten(all: readonly Written[]): Written {
  return all.reduce(
    (a, b) => ({
      chains: a.chains + b.chains,
      rules: {
        filter: a.rules.filter + b.rules.filter,
        nat: a.rules.nat + b.rules.nat,
        mangle: a.rules.mangle + b.rules.mangle,
        raw: a.rules.raw + b.rules.raw,
      },
      restores: a.restores + b.restores,
      bytes: a.bytes + b.bytes,
    }),
    nothingWritten,
  )
}
