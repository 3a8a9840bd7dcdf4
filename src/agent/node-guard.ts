// The guard of what nodes need for themselves (ADR 32): what is protected now, as far as the agent knows it, and the way
// to the API server, which is freed where rules have taken it.
import type { Logger } from 'pino'
import type { ApiConnection } from '../cluster/api-connection.ts'
import type { ClusterEndpointSlice } from '../cluster/endpoint-slice.ts'
import type { ClusterNode } from '../cluster/node.ts'
import type { ProtectedPorts } from '../cluster/protected-ports.ts'
import type { Reflector } from '../cluster/reflector.ts'
import type { Iptables } from '../iptables/iptables.ts'
import { ApiServerPlaces } from './api-server-places.ts'
import { ApiServerRescue } from './api-server-rescue.ts'
import type { LiveConfig } from './live-config.ts'
import { apiServersIn, interfaceAddresses, protectedPorts } from './protected-ports.ts'

export interface NodeGuardParts {
  readonly live: LiveConfig
  readonly api: ApiConnection
  readonly iptables: Iptables
  readonly nodes: Reflector<ClusterNode>
  /** Those of default/kubernetes among them say where the API servers are. */
  readonly slices: () => Iterable<ClusterEndpointSlice>
  readonly log: Logger
}

/** ms. A request that is never answered fails after half a minute: an agent that starts does not wait for that. */
const firstAnswerMs = 5000

export class NodeGuard {
  readonly places: ApiServerPlaces
  readonly #parts: NodeGuardParts
  readonly #rescue: ApiServerRescue

  constructor(parts: NodeGuardParts) {
    const { api, nodes } = parts
    this.#parts = parts
    this.places = new ApiServerPlaces(parts)
    const startedAt = performance.now()
    const late = (): boolean => !nodes.synced && performance.now() - startedAt > firstAnswerMs
    this.#rescue = new ApiServerRescue({
      ...parts,
      places: this.places,
      failing: () => nodes.status().lastError !== undefined || late(),
      reached: () => nodes.synced,
      recovery: api.recovery,
    })
  }

  /** What no Service and no host port gets, as of now. */
  readonly needed = (): ProtectedPorts => {
    const { live, nodes, slices } = this.#parts
    return protectedPorts({
      config: live.current,
      nodes: nodes.snapshot.values(),
      servers: [...this.places.places, ...apiServersIn(slices())],
      localAddresses: interfaceAddresses(),
    })
  }

  /** Until the signal. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([this.places.run(signal), this.#rescue.run(signal)])
  }
}
