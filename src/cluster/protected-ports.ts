// What nodes need for themselves: the API server, the tunnel, the agent's and the kubelet's own ports. A Service or a
// host port that took one of them would cut off the very agent that could put it right.
import type { Address } from '../net/address.ts'
import type { Protocol } from './service.ts'

export interface ProtectedPort {
  /** Who needs it, for sentences: "the kubelet". */
  readonly neededBy: string
  readonly protocol: Protocol
  readonly port: number
  /** Where it is needed, on any node. */
  readonly addresses: readonly Address[]
  /** One of the addresses is this node's: then nothing may take the port on all addresses of the node. */
  readonly onThisNode: boolean
}

export class ProtectedPorts {
  static readonly none = new ProtectedPorts([])
  readonly #all: readonly ProtectedPort[]
  readonly #byPlace: ReadonlyMap<string, string>

  constructor(all: readonly ProtectedPort[]) {
    this.#all = all
    // The first that needs a place is named.
    this.#byPlace = new Map(
      all
        .flatMap(({ neededBy, protocol, port, addresses, onThisNode }) =>
          [...addresses, ...(onThisNode ? [undefined] : [])].map(
            (address) => [placeOf(address, protocol, port), neededBy] as const,
          ),
        )
        .toReversed(),
    )
  }

  /**
   * Looks up who needs a port.
   * @param address undefined: all addresses of this node together, as a node port or a host port asks for
   * @returns who needs it, undefined where it is free
   */
  neededBy(address: Address | undefined, protocol: Protocol, port: number): string | undefined {
    return this.#byPlace.get(placeOf(address, protocol, port))
  }

  /** Two of them with the same text protect the same. */
  toJSON(): readonly ProtectedPort[] {
    return this.#all
  }
}

function placeOf(address: Address | undefined, protocol: Protocol, port: number): string {
  return `${address ?? 'this node'} ${port}/${protocol}`
}
