// What was tried with another node, and what both ends counted meanwhile.
import type { TunnelCounters } from '../kernel/tunnel-counters.ts'
import type { Address } from '../net/address.ts'

export interface PeerProbe {
  readonly node: string
  readonly address: Address
  readonly port: number
  /** By its own address; each of these is undefined where it went well, else what went wrong. */
  readonly underlay: string | undefined
  /** The same by an address of its pod network, with small packets. */
  readonly overlay: string | undefined
  /** The same with packets as large as the path is said to carry. */
  readonly large: string | undefined
  /** During one more try with small packets; undefined where none was needed, or the peer could not be asked. */
  readonly counted: { readonly here: TunnelCounters; readonly there: TunnelCounters } | undefined
}
