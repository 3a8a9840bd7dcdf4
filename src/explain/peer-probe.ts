// The result of probing another node.
import type { TunnelCounters } from '../kernel/tunnel-counters.ts'
import type { Address } from '../net/address.ts'

export interface PeerProbe {
  readonly node: string
  readonly address: Address
  readonly port: number
  /**
   * Over the node's own address. This and the next two fields are undefined if the probe succeeded, else the reason.
   */
  readonly underlay: string | undefined
  /** Over the gateway address of its pod network, with small packets. */
  readonly overlay: string | undefined
  /** The same with packets as large as the MTU allows. */
  readonly large: string | undefined
  /** Counters of both ends during one more probe with small packets; undefined if none was needed or possible. */
  readonly counted: { readonly here: TunnelCounters; readonly there: TunnelCounters } | undefined
}
