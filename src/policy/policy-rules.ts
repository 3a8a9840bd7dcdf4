// One direction of one policy as nftables rules. A rule says who and where to, and ends with the verdict for what it
// admits; nothing here denies.
import type {
  BlockPeer,
  ClusterNetworkPolicy,
  NamedPort,
  NumberedPort,
  PolicyPeer,
  PolicyPort,
  PolicyRule,
} from '../cluster/network-policy.ts'
import type { Protocol } from '../cluster/service.ts'
import type { Family } from '../net/address.ts'
import { blockIntervals, type TunnelAddress } from './ip-blocks.ts'
import { allPods, type PodSelection, selectionIn, selectionOf } from './pod-selection.ts'
import { type Range, union } from './ranges.ts'
import { blockSet, namedPortSet, podsSet, portSet, type SetSource } from './set-source.ts'
import type { Direction } from './subjects.ts'
import { comment } from './table.ts'

export interface RenderContext {
  readonly families: readonly Family[]
  /** Of the nodes, own one included. */
  readonly tunnels: readonly TunnelAddress[]
}

export interface RenderedPolicy {
  readonly rules: readonly string[]
  /** The sets that the rules name. */
  readonly sets: readonly SetSource[]
}

/** What a packet of an egress rule is let through with: back to where ingress is judged. Ingress is judged last. */
const verdicts: Readonly<Record<Direction, string>> = { ingress: 'accept', egress: 'return' }

export function renderPolicy(
  policy: ClusterNetworkPolicy,
  direction: Direction,
  context: RenderContext,
): RenderedPolicy {
  const sets = new Map<string, SetSource>()
  const named = (source: SetSource): string => {
    sets.set(source.name, source)
    return `@${source.name}`
  }
  const matches = (policy[direction] ?? []).flatMap((rule) =>
    new RuleMatches(policy, direction, context, named).of(rule),
  )
  return {
    rules: [...new Set(matches)].map(
      (match) => `${match === '' ? '' : `${match} `}${verdicts[direction]} ${comment(policy.name)}`,
    ),
    sets: [...sets.values()],
  }
}

class RuleMatches {
  readonly #policy: ClusterNetworkPolicy
  readonly #direction: Direction
  readonly #context: RenderContext
  /** Refers to the set by its name, and has it made. */
  readonly #named: (source: SetSource) => string

  constructor(
    policy: ClusterNetworkPolicy,
    direction: Direction,
    context: RenderContext,
    named: (source: SetSource) => string,
  ) {
    this.#policy = policy
    this.#direction = direction
    this.#context = context
    this.#named = named
  }

  /** Each is a match of its own: a packet that meets any is admitted. */
  of({ peers, ports }: PolicyRule): string[] {
    const numbers = ports === undefined ? [''] : this.#numbers(ports.filter(isNumbered))
    const names = (ports ?? []).filter(isNamed)
    return [
      // A set is made as soon as it is named: none for nothing.
      ...(numbers.length === 0 ? [] : this.#peers(peers)).flatMap((peer) =>
        numbers.map((port) => [peer, port].filter(Boolean).join(' ')),
      ),
      ...this.#context.families.flatMap((family) => names.flatMap((port) => this.#namedPort(peers, port, family))),
    ]
  }

  /** "" for everybody. */
  #peers(peers: readonly PolicyPeer[] | undefined): string[] {
    if (peers === undefined) return ['']
    return this.#context.families.flatMap((family) => [...this.#pods(peers, family), ...this.#blocks(peers, family)])
  }

  #pods(peers: readonly PolicyPeer[], family: Family): string[] {
    return this.#selections(peers).map(
      (selection) => `${this.#peerAddress(family)} ${this.#named(podsSet(family, selection))}`,
    )
  }

  /** All blocks of a rule are one set: what one excepts another may admit. */
  #blocks(peers: readonly PolicyPeer[], family: Family): string[] {
    const intervals = blockIntervals(peers.filter(isBlock), family, this.#context.tunnels)
    return intervals.length === 0 ? [] : [`${this.#peerAddress(family)} ${this.#named(blockSet(family, intervals))}`]
  }

  #numbers(ports: readonly NumberedPort[]): string[] {
    return [...Map.groupBy(ports, ({ protocol }) => protocol)].map(([protocol, list]) => {
      const ranges = union(list.map(({ first, last }) => ({ first: BigInt(first), last: BigInt(last) })))
      return this.#portMatch(protocol, ranges)
    })
  }

  #portMatch(protocol: Protocol, ranges: readonly Range[]): string {
    const [range, ...more] = ranges
    if (range === undefined || more.length > 0) return `${protocol} dport ${this.#named(portSet(ranges))}`
    if (range.first === 0n) return `meta l4proto ${protocol}`
    return `${protocol} dport ${range.first === range.last ? range.first : `${range.first}-${range.last}`}`
  }

  /**
   * The number is the destination's own. Of what is no pod it has none, so that blocks as destinations admit nothing by
   * it.
   */
  #namedPort(peers: readonly PolicyPeer[] | undefined, port: NamedPort, family: Family): string[] {
    const destination = `${family === 4 ? 'ip' : 'ip6'} daddr . ${port.protocol} dport`
    if (this.#direction === 'egress')
      return (peers === undefined ? [allPods] : this.#selections(peers)).map(
        (selection) => `${destination} ${this.#named(namedPortSet(family, selection, port))}`,
      )
    const own = `${destination} ${this.#named(namedPortSet(family, selectionIn(this.#policy.namespace, this.#policy.podSelector), port))}`
    return peers === undefined
      ? [own]
      : [...this.#pods(peers, family), ...this.#blocks(peers, family)].map((peer) => `${peer} ${own}`)
  }

  #selections(peers: readonly PolicyPeer[]): PodSelection[] {
    return peers.flatMap((peer) => (isBlock(peer) ? [] : [selectionOf(this.#policy.namespace, peer)]))
  }

  #peerAddress(family: Family): string {
    return `${family === 4 ? 'ip' : 'ip6'} ${this.#direction === 'ingress' ? 'saddr' : 'daddr'}`
  }
}

export function isBlock(peer: PolicyPeer): peer is BlockPeer {
  return 'cidr' in peer
}

export function isNumbered(port: PolicyPort): port is NumberedPort {
  return 'first' in port
}

function isNamed(port: PolicyPort): port is NamedPort {
  return 'name' in port
}
