// Gives every Node its podCIDRs, as the controller manager does with --allocate-node-cidrs: one block per family of the
// cluster's range.
import type { ApiConnection } from '../../cluster/api-connection.ts'
import { type Cidr, formatCidr, parseCidr } from '../../net/cidr.ts'
import { attempt, type ControllerLog } from './attempt.ts'
import { NodeBlocks } from './node-blocks.ts'
import type { NodeView } from './node-view.ts'

/** As the controller manager's defaults: --node-cidr-mask-size-ipv4 and -ipv6. */
const nodePrefix = { 4: 24, 6: 64 } as const

export interface NodeAddressesSettings {
  readonly api: Pick<ApiConnection, 'request'>
  readonly clusterCidrs: readonly Cidr[]
  readonly log: ControllerLog
}

export class NodeAddresses {
  readonly #settings: NodeAddressesSettings
  readonly #families: readonly NodeBlocks[]

  constructor(settings: NodeAddressesSettings) {
    this.#settings = settings
    this.#families = settings.clusterCidrs.map((cidr) => new NodeBlocks(cidr, nodePrefix[cidr.family]))
  }

  async pass(nodes: ReadonlyMap<string, NodeView>): Promise<void> {
    const { log } = this.#settings
    const owners = new Set([...nodes.values()].map(({ uid }) => uid))
    // First what there is, then what is new: a block that someone has is never given.
    for (const blocks of this.#families) blocks.keepOnly(owners)
    for (const node of nodes.values()) {
      const own = node.podCidrs.flatMap((text) => parsed(text, node.name, log))
      if (own.length > 0) for (const blocks of this.#families) blocks.hold(node.uid, own)
    }
    for (const node of [...nodes.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
      if (node.podCidrs.length === 0) await this.#assign(node)
    }
  }

  async #assign({ name, uid }: NodeView): Promise<void> {
    const { api, log } = this.#settings
    const blocks = this.#families.map((family) => family.give(uid))
    const podCIDRs = blocks.filter((block) => block !== undefined).map((block) => formatCidr(block))
    if (podCIDRs.length < blocks.length) return log.warn(`Node ${name} gets no podCIDR: the cluster's range is used up`)
    // With its uid, so that a Node that came back under the same name is not meant.
    const body = { metadata: { uid }, spec: { podCIDR: podCIDRs[0], podCIDRs } }
    await attempt(log, `podCIDR ${podCIDRs.join(', ')} for node ${name}`, () =>
      api.request('PATCH', `/api/v1/nodes/${name}`, { body, contentType: 'application/merge-patch+json' }),
    )
  }
}

function parsed(text: string, node: string, log: ControllerLog): Cidr[] {
  try {
    return [parseCidr(text)]
  } catch (error) {
    log.warn({ err: error }, `a podCIDR of node ${node} is left out of account`)
    return []
  }
}
