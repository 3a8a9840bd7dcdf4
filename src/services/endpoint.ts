// One endpoint of one service port, as joined from the Service's slices.
import { type Address, familyOf } from '../net/address.ts'

export interface Endpoint {
  readonly address: Address
  readonly port: number
  readonly ready: boolean
  readonly serving: boolean
  readonly terminating: boolean
  /** On this node. */
  readonly local: boolean
  /** Names from the slice's hints. Empty where there are none. */
  readonly zoneHints: readonly string[]
  readonly nodeHints: readonly string[]
}

/** "10.244.1.5:80", "[fd00::5]:80": what comments, hashes and DNAT rules say. */
export function endpointText({ address, port }: Pick<Endpoint, 'address' | 'port'>): string {
  return familyOf(address) === 4 ? `${address}:${port}` : `[${address}]:${port}`
}
