// The chains of the table. Those of policy sets are named after what is in them: pods under the same policies share
// one, and one that is in use never changes.
import type { ClusterNetworkPolicy } from '../cluster/network-policy.ts'
import type { Family } from '../net/address.ts'
import { linkTypes } from './link-types.ts'
import { renderPolicy, type RenderContext, type RenderedPolicy } from './policy-rules.ts'
import type { SetSource } from './set-source.ts'
import type { DenialLog, PolicySettings } from './settings.ts'
import type { Direction, Isolation } from './subjects.ts'
import { comment, contentName, plain, type TableChain } from './table.ts'

export interface PolicyChain {
  readonly name: string
  readonly chain: TableChain
  readonly sets: readonly SetSource[]
}

/** Where the packets of a direction end that no policy admits. */
export const denyChain: Readonly<Record<Direction, string>> = { ingress: 'deny-ingress', egress: 'deny-egress' }

/** Those that packets are told apart in: IPv6 also where pods have no address of it but the one each link has. */
export function mapFamilies({ families }: PolicySettings): readonly Family[] {
  return families.includes(6) ? families : [...families, 6]
}

/**
 * Where packets come in. After iptables' chains (priority 0): what a Service without endpoints refuses, or conntrack
 * calls invalid, is no denial of ours.
 */
export function forwardChain(settings: PolicySettings): TableChain {
  const families = mapFamilies(settings)
  return {
    declaration: 'type filter hook forward priority 10; policy accept;',
    rules: [
      `${settings.judgeOpenConnections ? 'ct direction reply' : 'ct state established'} accept`,
      'ct state related accept',
      ...linkTypes.map((types) => `icmpv6 type ${types} accept`),
      ...families.map((family) =>
        family === 4 ? 'ip saddr . ip daddr @itself4 accept' : 'ip6 saddr . ip6 daddr @itself6 accept',
      ),
      ...families.map((family) => `${family === 4 ? 'ip' : 'ip6'} saddr vmap @egress${family}`),
      ...families.map((family) => `${family === 4 ? 'ip' : 'ip6'} daddr vmap @ingress${family}`),
    ],
  }
}

/** Counts for each pod, by the elements of a set, and drops. */
export function denyingChain(direction: Direction, settings: PolicySettings): TableChain {
  const counted = mapFamilies(settings).map(
    (family) =>
      `${family === 4 ? 'ip' : 'ip6'} ${direction === 'ingress' ? 'daddr' : 'saddr'} @denied-${direction}${family} drop`,
  )
  return { declaration: '', rules: [...counted, 'drop'] }
}

/** Remembers what it has rendered for as long as it is in use. */
export class PolicyChains {
  #settings: PolicySettings | undefined
  #context: RenderContext | undefined
  /** By direction and policy. A policy that has changed is another object. */
  #policies = {
    ingress: new WeakMap<ClusterNetworkPolicy, RenderedPolicy>(),
    egress: new WeakMap<ClusterNetworkPolicy, RenderedPolicy>(),
  }
  readonly #numbers = new WeakMap<ClusterNetworkPolicy, number>()
  #lastNumber = 0
  #before = new Map<string, PolicyChain>()
  #now = new Map<string, PolicyChain>()

  /** Begins a plan: what the last one did not use is forgotten. */
  begin(settings: PolicySettings, context: RenderContext): void {
    this.#before = settings === this.#settings && context === this.#context ? this.#now : new Map()
    if (context !== this.#context) this.#policies = { ingress: new WeakMap(), egress: new WeakMap() }
    this.#now = new Map()
    this.#settings = settings
    this.#context = context
  }

  /** @returns undefined where the pod is open. */
  chainOf(direction: Direction, isolation: Isolation): PolicyChain | undefined {
    if (isolation === undefined) return undefined
    const key = `${direction} ${isolation === 'held' ? 'held' : isolation.map((policy) => this.#numberOf(policy)).join()}`
    const chain = this.#now.get(key) ?? this.#before.get(key) ?? this.#render(direction, isolation)
    this.#now.set(key, chain)
    return chain
  }

  #render(direction: Direction, isolation: NonNullable<Isolation>): PolicyChain {
    const policies = isolation === 'held' ? [] : isolation
    const rendered = policies.map((policy) => this.#policy(direction, policy))
    const [namespace] = policies.map(({ namespace }) => namespace)
    const what =
      isolation === 'held'
        ? 'pods whose labels are not known yet'
        : `${namespace}: ${policies.map(({ name }) => name).join(', ')}`
    const rules = [
      ...rendered.flatMap(({ rules }) => rules),
      ...logRules(this.#settings?.log, `fairlead ${direction} ${what} `),
      `goto ${denyChain[direction]}`,
    ]
    return {
      name: contentName(direction, `${what}\n${rules.join('\n')}`),
      chain: { declaration: `${comment(what)};`, rules },
      sets: rendered.flatMap(({ sets }) => sets),
    }
  }

  #policy(direction: Direction, policy: ClusterNetworkPolicy): RenderedPolicy {
    const rendered =
      this.#policies[direction].get(policy) ??
      renderPolicy(policy, direction, this.#context ?? { families: [], tunnels: [] })
    this.#policies[direction].set(policy, rendered)
    return rendered
  }

  #numberOf(policy: ClusterNetworkPolicy): number {
    const number = this.#numbers.get(policy) ?? ++this.#lastNumber
    this.#numbers.set(policy, number)
    return number
  }
}

/** A rate for each chain, so that one flood does not hide all else. */
function logRules(log: DenialLog | undefined, prefix: string): string[] {
  return log === undefined
    ? []
    : [`limit rate ${log.perSecond}/second log prefix "${plain(prefix, 120)}" group ${log.group}`]
}
