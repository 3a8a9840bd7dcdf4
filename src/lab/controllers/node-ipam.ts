// Assigns podCIDRs to every Node, like the controller manager with --allocate-node-cidrs: one block of the cluster CIDR
// for each family.
import type { ApiConnection } from '../../cluster/api-connection.ts'
import { type Cidr, formatCidr, parseCidr } from '../../net/cidr.ts'
import { tryWrite, type ControllerLog } from './try-write.ts'
import { CidrSet } from './cidr-set.ts'
import type { NodeView } from './node-view.ts'

/** The controller manager's defaults for --node-cidr-mask-size-ipv4 and -ipv6. */
const nodePrefix = { 4: 24, 6: 64 } as const

export interface NodeIpamSettings {
  readonly api: Pick<ApiConnection, 'request'>
  readonly clusterCidrs: readonly Cidr[]
  readonly log: ControllerLog
}

export class NodeIpam {
  readonly #settings: NodeIpamSettings
  readonly #sets: readonly CidrSet[]

  constructor(settings: NodeIpamSettings) {
    this.#settings = settings
    this.#sets = settings.clusterCidrs.map((cidr) => new CidrSet(cidr, nodePrefix[cidr.family]))
  }

  async reconcile(nodes: ReadonlyMap<string, NodeView>): Promise<void> {
    const { log } = this.#settings
    const owners = new Set([...nodes.values()].map(({ uid }) => uid))
    // Existing blocks are recorded first, so that none of them is assigned again.
    for (const blocks of this.#sets) blocks.keepOnly(owners)
    for (const node of nodes.values()) {
      const own = node.podCidrs.flatMap((text) => parsed(text, node.name, log))
      if (own.length > 0) for (const blocks of this.#sets) blocks.occupy(node.uid, own)
    }
    for (const node of [...nodes.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
      if (node.podCidrs.length === 0) await this.#assign(node)
    }
  }

  async #assign({ name, uid }: NodeView): Promise<void> {
    const { api, log } = this.#settings
    const blocks = this.#sets.map((family) => family.allocate(uid))
    const podCIDRs = blocks.filter((block) => block !== undefined).map((block) => formatCidr(block))
    if (podCIDRs.length < blocks.length) return log.warn({ node: name }, 'cluster CIDR exhausted')
    // The uid makes the patch fail if the Node was deleted and created again under the same name.
    const body = { metadata: { uid }, spec: { podCIDR: podCIDRs[0], podCIDRs } }
    await tryWrite(log, `assign podCIDR ${podCIDRs.join(', ')} to node ${name}`, () =>
      api.request('PATCH', `/api/v1/nodes/${name}`, { body, contentType: 'application/merge-patch+json' }),
    )
  }
}

function parsed(text: string, node: string, log: ControllerLog): Cidr[] {
  try {
    return [parseCidr(text)]
  } catch (error) {
    log.warn({ err: error, node }, 'ignoring an invalid podCIDR')
    return []
  }
}
