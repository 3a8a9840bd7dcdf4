// Which nodes take part. Two that claim the same addresses would steal each other's packets, so one of them is left
// out. Node objects outlive their machines: what tells a living node from a dead one counts before age (docs/adr/0033).
import type { ClusterNode } from '../cluster/node.ts'
import type { Address } from '../net/address.ts'
import { formatCidr } from '../net/cidr.ts'
import { Claims } from './claims.ts'
import { nodeAddress } from './uplink.ts'

export interface Membership {
  /** In order of precedence, so that the order in which nodes were told never shows. */
  readonly members: readonly ClusterNode[]
  readonly leftOut: readonly LeftOut[]
  /** Whether two nodes claim the same addresses. */
  readonly contested: boolean
}

export interface LeftOut {
  readonly name: string
  /** One sentence: why, and what to do. */
  readonly problem: string
}

/** What this machine knows of the nodes beyond their objects. */
export interface Evidence {
  /** The name of the node that we run on: alive, whatever its object says. */
  readonly own?: string
  /** Names of nodes whose last heartbeat is long before that of others. */
  readonly stale?: ReadonlySet<string>
  /** Returns whether this machine's kernel leads to the node's pods now. Asked only where addresses are contested. */
  readonly inForce?: (node: ClusterNode) => boolean
}

/**
 * Chooses the members. Where nodes claim the same, the one that is alive comes first (its Ready condition is not
 * Unknown, or it is our own), then the one with recent heartbeats, then the one in force, then the older.
 */
export function admit(nodes: readonly ClusterNode[], evidence: Evidence = {}): Membership {
  const { inForce, ...rest } = evidence
  const membership = judge(nodes, rest)
  return membership.contested && inForce !== undefined ? judge(nodes, evidence) : membership
}

interface Ranked {
  readonly node: ClusterNode
  readonly alive: boolean
  readonly fresh: boolean
  readonly inForce: boolean
}

function rank(node: ClusterNode, { own, stale, inForce }: Evidence): Ranked {
  const isOwn = node.name === own
  return {
    node,
    alive: isOwn || node.alive === true,
    fresh: isOwn || stale?.has(node.name) !== true,
    // Of nodes that nobody reports on, age alone decides, on every machine alike.
    inForce: (isOwn || node.alive !== undefined) && (inForce?.(node) ?? false),
  }
}

function byPrecedence(a: Ranked, b: Ranked): number {
  return byStanding(a, b) || byAge(a.node, b.node)
}

/** Of nodes that are all silent, as when the API server is cut off, those in force stay. */
function byStanding(a: Ranked, b: Ranked): number {
  const inForce = Number(b.inForce) - Number(a.inForce)
  const fresh = Number(b.fresh) - Number(a.fresh)
  return Number(b.alive) - Number(a.alive) || (a.alive ? fresh || inForce : inForce || fresh)
}

function byAge(a: ClusterNode, b: ClusterNode): number {
  return a.createdAt - b.createdAt || (a.name < b.name ? -1 : 1)
}

function judge(nodes: readonly ClusterNode[], evidence: Evidence): Membership {
  const leftOut: LeftOut[] = []
  const blocks = new Claims()
  const holders = new Map<Address, Ranked>()
  const byName = new Map<string, Ranked>()
  let contested = false
  const candidates = nodes
    .map((node) => rank(node, evidence))
    .toSorted(byPrecedence)
    .filter((ranked) => {
      const { node } = ranked
      const incomplete = lack(node)
      const clash =
        incomplete === undefined ? (blockClash(ranked, blocks, byName) ?? addressClash(ranked, holders)) : undefined
      contested ||= clash !== undefined
      const problem = incomplete ?? clash
      if (problem !== undefined) {
        leftOut.push({ name: node.name, problem })
        return false
      }
      byName.set(node.name, ranked)
      for (const cidr of node.podCidrs) blocks.add(cidr, node.name)
      for (const address of addressesOf(node)) holders.set(address, ranked)
      return true
    })
  const inside = candidates.flatMap((ranked) => insidePodNetwork(ranked, blocks, byName) ?? [])
  // A dead node whose block holds a living one's address goes first; then that one stands in nobody's block.
  const dead = new Map(inside.filter(({ loser, owner }) => loser === owner).map((each) => [each.owner, each]))
  const out = new Map(inside.filter(({ owner }) => !dead.has(owner)).map((each) => [each.loser, each]))
  for (const [loser, { problem }] of [...dead, ...out]) leftOut.push({ name: loser.node.name, problem })
  const members = candidates.filter((ranked) => !dead.has(ranked) && !out.has(ranked)).map(({ node }) => node)
  return { members, leftOut, contested: contested || inside.length > 0 }
}

function lack(node: ClusterNode): string | undefined {
  if (node.podCidrs.length === 0)
    return `Node ${node.name} has no podCIDR and is left out; run the controller manager with --allocate-node-cidrs and --cluster-cidr`
  if (node.internalAddresses.length === 0)
    return `Node ${node.name} has no InternalIP and is left out; start its kubelet with --node-ip`
  return undefined
}

function blockClash(ranked: Ranked, blocks: Claims, byName: ReadonlyMap<string, Ranked>): string | undefined {
  const { node } = ranked
  for (const cidr of node.podCidrs) {
    const claim = blocks.find(cidr)
    const holder = claim === undefined ? undefined : byName.get(claim.owner)
    if (claim === undefined || holder === undefined) continue
    const what = `Node ${node.name} has podCIDR ${formatCidr(cidr)}, of which`
    const holds = `holds ${formatCidr(claim.cidr)}`
    return sentence(ranked, holder, {
      clash: (who) => `${what} ${who} ${holds}`,
      remedy: 'delete one of the two Node objects',
      ofTwoAlive: `delete Node ${node.name} and restart its kubelet, so that it gets another block`,
    })
  }
  return undefined
}

function addressClash(ranked: Ranked, holders: ReadonlyMap<Address, Ranked>): string | undefined {
  const { node } = ranked
  for (const address of addressesOf(node)) {
    const holder = holders.get(address)
    if (holder === undefined) continue
    return sentence(ranked, holder, {
      clash: (who) => `Node ${node.name} has InternalIP ${address}, as ${who} has`,
      remedy: 'delete the Node object whose machine is gone',
      ofTwoAlive: 'give one of the two machines another address',
    })
  }
  return undefined
}

/** Says why a node is left out, and what to do. */
function sentence(
  loser: Ranked,
  holder: Ranked,
  { clash, remedy, ofTwoAlive }: { clash: (who: string) => string; remedy: string; ofTwoAlive: string },
): string {
  const [node, other] = [loser.node, holder.node]
  const older = byAge(node, other) < 0
  if (holder.alive && (loser.alive ? !loser.fresh && holder.fresh : older || node.alive === false))
    return `${clash(`node ${other.name}`)}, and is left out because ${silence(loser)}; delete Node ${node.name} if its machine is gone`
  const who = older ? `node ${other.name}, whose pods are reached here,` : `the older node ${other.name}`
  const both = loser.alive && holder.alive ? `, although both report; ${ofTwoAlive}` : `; ${remedy}`
  return `${clash(who)}, and is left out${both}`
}

function silence({ alive }: Ranked): string {
  return alive ? 'its last heartbeat is long past' : 'no kubelet reports for it any more'
}

interface Inside {
  readonly loser: Ranked
  /** The node whose block holds the address. */
  readonly owner: Ranked
  readonly problem: string
}

/** A route to that pod network would swallow the packets that carry it. */
function insidePodNetwork(ranked: Ranked, blocks: Claims, byName: ReadonlyMap<string, Ranked>): Inside | undefined {
  const { node } = ranked
  for (const address of addressesOf(node)) {
    const claim = blocks.holder(address)
    const owner = claim === undefined ? undefined : byName.get(claim.owner)
    if (claim === undefined || owner === undefined) continue
    const block = formatCidr(claim.cidr)
    if (byStanding(owner, ranked) > 0)
      return {
        loser: owner,
        owner,
        problem: `Node ${claim.owner} has podCIDR ${block}, which holds InternalIP ${address} of node ${node.name}, and is left out because ${silence(owner)}; delete Node ${claim.owner} if its machine is gone`,
      }
    return {
      loser: ranked,
      owner,
      problem: `Node ${node.name} has InternalIP ${address} inside podCIDR ${block} of node ${claim.owner} and is left out; start its kubelet with the underlay's address as --node-ip`,
    }
  }
  return undefined
}

function addressesOf(node: ClusterNode): Address[] {
  return ([4, 6] as const).flatMap((family) => nodeAddress(node, family) ?? [])
}
