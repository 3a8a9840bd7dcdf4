// The condition NetworkUnavailable. Some clouds' controllers set it on new nodes, the scheduler keeps pods from such a
// node by the taint that follows it, and both stay until the network says otherwise. That is the one thing about a Node
// that an agent may write, and only where it is told to.
import type { Logger } from 'pino'
import type { ApiConnection } from '../cluster/api-connection.ts'
import type { ClusterNode } from '../cluster/node.ts'
import type { LiveConfig } from './live-config.ts'
import { Reports } from '../runtime/reports.ts'

export class NetworkUnavailable {
  readonly #api: Pick<ApiConnection, 'request'>
  readonly #live: LiveConfig
  readonly #log: Logger
  readonly #reports: Reports

  constructor(parts: { api: Pick<ApiConnection, 'request'>; live: LiveConfig; log: Logger }) {
    this.#api = parts.api
    this.#live = parts.live
    this.#log = parts.log
    this.#reports = new Reports(parts.log)
  }

  /**
   * To be called when pods can be served. Never rejects: what the API server refuses is told of, and tried again by the
   * next call.
   */
  async clear(own: ClusterNode | undefined): Promise<void> {
    this.#reports.say('network unavailable', own?.networkUnavailable === true ? await this.#clear(own.name) : [])
  }

  /**
   * @returns what keeps it from being cleared. The taint goes by itself: the controller manager takes it away with the
   * condition.
   */
  async #clear(name: string): Promise<readonly string[]> {
    if (!this.#live.current.clearNetworkUnavailable)
      return [
        `Node ${name} is marked NetworkUnavailable, so pods are kept from it though it has a network: set clearNetworkUnavailable and apply deploy/network-unavailable, or let the cloud's controller create routes`,
      ]
    const now = new Date().toISOString()
    const condition = {
      type: 'NetworkUnavailable',
      status: 'False',
      reason: 'FairleadIsReady',
      message: 'pods of this node have their network from Fairlead',
      lastHeartbeatTime: now,
      lastTransitionTime: now,
    }
    try {
      await this.#api.request('PATCH', `/api/v1/nodes/${name}/status`, {
        body: { status: { conditions: [condition] } },
        contentType: 'application/strategic-merge-patch+json',
      })
      this.#log.info('condition NetworkUnavailable of this node cleared')
      return []
    } catch (error) {
      return [
        `Condition NetworkUnavailable of node ${name} could not be cleared (${(error as Error).message}): apply deploy/network-unavailable, which allows it`,
      ]
    }
  }
}
