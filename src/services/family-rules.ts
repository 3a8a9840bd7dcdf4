// What the tables of one family should hold, kept up to date by rendering again what has changed and that alone.
import type { IptablesTable } from '../iptables/iptables.ts'
import { parseRule } from '../iptables/parse-rule.ts'
import { type Chains, equalRules, type Rule } from '../iptables/rule.ts'
import type { Lines } from '../iptables/table-state.ts'
import type { ClusterEndpointSlice } from '../cluster/endpoint-slice.ts'
import type { Problem } from '../cluster/problem.ts'
import { ProtectedPorts } from '../cluster/protected-ports.ts'
import type { ClusterService } from '../cluster/service.ts'
import { byPrecedence, protectedClaims } from './claims.ts'
import { assembleRules, type Desired } from './desired.ts'
import { endpointsOf } from './endpoints.ts'
import { flatEndpoints, flatFrontends } from './flat-layout.ts'
import { dispatchTree, dividedChains } from './layout/dispatch-tree.ts'
import { endpointTree } from './layout/endpoint-tree.ts'
import { isDispatchChain } from './layout/tree-names.ts'
import type { NodeFacts, ServicesOptions } from './options.ts'
import { isLargeCluster, type RenderContext } from './render-context.ts'
import { renderServicePort } from './render-service-port.ts'
import { isSameFrontend } from './render-frontends.ts'
import type { RenderedPort } from './rendered.ts'
import { portKey } from './service-port.ts'
import { servicePortsOf } from './service-ports.ts'
import { staticNatChains } from './static-chains.ts'
import { UdpFlows } from './udp-flows.ts'

export interface Sources {
  readonly services: ReadonlyMap<string, ClusterService>
  slicesOf(service: string): Iterable<ClusterEndpointSlice>
}

/** Where the chains go. */
export interface Target {
  /** Returns what chains hold that are not as wanted: at the start, what was there before us. */
  held(table: IptablesTable): Iterable<readonly [chain: string, lines: Lines]>
  want(table: IptablesTable, chains: Iterable<readonly [chain: string, rules: readonly Rule[]]>): void
  unwant(table: IptablesTable, chains: Iterable<string>): void
}

/**
 * How one Service was rendered last, without what grows with its endpoints: that is many times as much text, and the
 * same again when it is rendered again.
 */
interface Rendered {
  readonly service: ClusterService
  readonly slices: readonly ClusterEndpointSlice[]
  readonly context: RenderContext
  readonly ports: readonly RenderedPort[]
  readonly endpoints: number
  /** In the chains. */
  readonly rules: number
}

/** Services that are rendered in one go, while what came before is written. */
const servicesAtOnce = 25

export class FamilyRules {
  readonly #target: Target
  readonly #sources: Sources
  readonly #rendered = new Map<string, Rendered>()
  readonly flows = new UdpFlows()
  #context: RenderContext | undefined
  #needed = ProtectedPorts.none
  /** Whether {@link protect} has changed what the next {@link update} lays out. */
  #unsettled = false
  #endpoints = 0
  /** In chains of ports, of table nat. */
  #portRules = 0
  /**
   * The chains that belong to no port, the layout's and those that depend on options alone: how many rules each has.
   */
  #shared: Readonly<Record<'filter' | 'nat', ReadonlyMap<string, number>>> = { filter: new Map(), nat: new Map() }
  /** Those of them that lead on into a tree; undefined before the first layout of ours. */
  #divided: ReadonlySet<string> | undefined
  problems: readonly Problem[] = []

  constructor(parts: { target: Target; sources: Sources }) {
    this.#target = parts.target
    this.#sources = parts.sources
  }

  get size(): { ports: number; endpoints: number } {
    return {
      ports: [...this.#rendered.values()].reduce((sum, { ports }) => sum + ports.length, 0),
      endpoints: this.#endpoints,
    }
  }

  /** Rules that should be there, by table. */
  get count(): Readonly<Record<'filter' | 'nat', number>> {
    const shared = (table: 'filter' | 'nat'): number =>
      [...this.#shared[table].values()].reduce((sum, rules) => sum + rules, 0)
    return { filter: shared('filter'), nat: shared('nat') + this.#portRules }
  }

  /** Takes effect with the next {@link update}. @param needed what no Service gets */
  protect(needed: ProtectedPorts): void {
    const ports = [...this.#rendered.values()].flatMap((each) => each.ports)
    const [before, after] = [protectedClaims(ports, this.#needed), protectedClaims(ports, needed)]
    // Nodes come and go, and few of them concern any Service: 10,000 Services are laid out for those alone.
    if (before.join() !== after.join()) this.#unsettled = true
    this.#needed = needed
  }

  /**
   * @param dirty keys of Services to render again; all of them where options or node have changed.
   * @returns when it is through with all; on the way it gives way again and again, so that what is there already can be
   * written.
   */
  *update(dirty: Iterable<string>, options: ServicesOptions, node: NodeFacts): Generator<void> {
    if (this.#divided === undefined) {
      // A layout that exists is kept as far as it can be.
      this.#divided = dividedChains(dispatchChains(this.#target.held('nat')))
      this.flows.adopt(this.#target.held('nat'))
    }
    const same = this.#context !== undefined && this.#context.options === options && this.#context.node === node
    let laidOut = same && !this.#unsettled
    this.#unsettled = false
    if (!same) {
      this.#context = {
        options,
        node,
        largeCluster: this.#context?.largeCluster ?? false,
        endpointLayout: options.layout === 'tree' ? endpointTree : flatEndpoints,
      }
      // All others call these.
      this.#target.want('nat', staticNatChains(options))
    }
    const all = same ? [...dirty] : this.#all()
    // Known beforehand, so that a large cluster is not rendered twice at the start.
    if (this.#context !== undefined && this.#rendered.size === 0)
      this.#context = { ...this.#context, largeCluster: isLargeCluster(this.#count(all)) }
    for (const [i, key] of all.entries()) {
      if (this.#render(key)) laidOut = false
      if (i % servicesAtOnce === servicesAtOnce - 1) yield
    }
    // Comments of single endpoints go above the limit and come back below it.
    const largeCluster = isLargeCluster(this.#endpoints)
    if (this.#context !== undefined && largeCluster !== this.#context.largeCluster) {
      this.#context = { ...this.#context, largeCluster }
      for (const key of this.#all()) this.#render(key)
    }
    if (!laidOut) this.#layOut(options, node, !same)
  }

  /** Chains of table nat as they should be, rendered again. */
  rendered(chains: ReadonlySet<string>): Chains {
    const found = new Map<string, readonly Rule[]>()
    const take = (some: Chains): void => {
      for (const [chain, rules] of some) if (chains.has(chain)) found.set(chain, rules)
    }
    for (const { service, slices, context } of this.#rendered.values())
      for (const port of renderPorts(service, slices, context).ports) take(port.chains)
    if (this.#context !== undefined) take(this.#assemble(this.#context).rules.nat)
    return found
  }

  #all(): string[] {
    return [...new Set([...this.#rendered.keys(), ...this.#sources.services.keys()])]
  }

  /**
   * Endpoints that the slices of these Services have. Some may turn out to be doubles: then comments are put right
   * afterwards.
   */
  #count(keys: readonly string[]): number {
    const slices = keys.flatMap((key) => (this.#sources.services.has(key) ? [...this.#sources.slicesOf(key)] : []))
    return slices.reduce(
      (sum, { family, ports, endpoints }) =>
        family === this.#context?.node.family ? sum + endpoints.length * ports.length : sum,
      0,
    )
  }

  /** @returns whether anything but the port's own chains has changed. */
  #render(key: string): boolean {
    const context = this.#context
    if (context === undefined) return false
    const known = this.#rendered.get(key)
    const before = known === undefined ? [] : renderPorts(known.service, known.slices, known.context).ports
    const service = this.#sources.services.get(key)
    const slices = [...this.#sources.slicesOf(key)]
    const { ports, endpoints } =
      service === undefined ? { ports: [], endpoints: 0 } : renderPorts(service, slices, context)
    const rules = ports.reduce(
      (sum, { chains }) => sum + [...chains.values()].reduce((sum, { length }) => sum + length, 0),
      0,
    )
    if (service !== undefined && ports.length > 0)
      this.#rendered.set(key, {
        service,
        slices,
        context,
        ports: ports.map((port) => ({ ...port, ...notKept })),
        endpoints,
        rules,
      })
    else this.#rendered.delete(key)
    this.#endpoints += endpoints - (known?.endpoints ?? 0)
    this.#portRules += rules - (known?.rules ?? 0)
    const kept = new Set(ports.flatMap(({ chains }) => [...chains.keys()]))
    for (const { chains } of before)
      this.#target.unwant(
        'nat',
        [...chains.keys()].filter((chain) => !kept.has(chain)),
      )
    for (const { chains } of ports) this.#target.want('nat', chains)
    this.flows.change(before, ports)
    return !sameEntrances(before, ports)
  }

  #layOut(options: ServicesOptions, node: NodeFacts, scopeChanged: boolean): void {
    const { rules, frontends, problems } = this.#assemble({ options, node })
    this.problems = problems
    this.flows.layOut(frontends, scopeChanged)
    for (const table of ['filter', 'nat'] as const) {
      this.#target.unwant(
        table,
        [...this.#shared[table].keys()].filter((chain) => !rules[table].has(chain)),
      )
      this.#target.want(table, rules[table])
    }
    const counts = (chains: Chains): ReadonlyMap<string, number> =>
      new Map([...chains].map(([chain, { length }]) => [chain, length]))
    this.#shared = { filter: counts(rules.filter), nat: counts(rules.nat) }
    this.#divided = dividedChains(rules.nat)
  }

  #assemble({ options, node }: Pick<RenderContext, 'options' | 'node'>): Desired {
    const ports = [...this.#rendered.values()].flatMap((each) => each.ports)
    return assembleRules(
      ports,
      { options, node, needed: this.#needed },
      options.layout === 'tree' ? dispatchTree(this.#divided) : flatFrontends,
    )
  }
}

/** Of a hundred thousand rules these few alone are parsed. */
function* dispatchChains(
  held: Iterable<readonly [chain: string, lines: Lines]>,
): Generator<readonly [chain: string, rules: readonly Rule[]]> {
  for (const [chain, lines] of held) if (isDispatchChain(chain)) yield [chain, lines.map(parseRule)]
}

/** Pure: what was rendered before comes out the same. */
function renderPorts(
  service: ClusterService,
  slices: readonly ClusterEndpointSlice[],
  context: RenderContext,
): { ports: readonly RenderedPort[]; endpoints: number } {
  let endpoints = 0
  const served = servicePortsOf(service, context.node.family).toSorted(byPrecedence)
  const ports = served.map((port) => {
    const own = endpointsOf(port, slices, context.node.name)
    endpoints += own.length
    return renderServicePort(port, own, context)
  })
  return { ports, endpoints }
}

const notKept: Pick<RenderedPort, 'chains' | 'serving'> = { chains: new Map(), serving: [] }

/** Whether they are reached in the same way: then no chain that is shared with other ports changes. */
function sameEntrances(before: readonly RenderedPort[], after: readonly RenderedPort[]): boolean {
  return (
    before.length === after.length &&
    before.every((port, i) => {
      const other = after[i]
      return (
        other !== undefined &&
        portKey(port.port) === portKey(other.port) &&
        port.port.createdAt === other.port.createdAt &&
        port.frontends.length === other.frontends.length &&
        port.frontends.every((frontend, i) => isSameFrontend(frontend, other.frontends[i])) &&
        sameRules(
          port.filter.map(({ rule }) => rule),
          other.filter.map(({ rule }) => rule),
        )
      )
    })
  )
}

function sameRules(a: readonly Rule[], b: readonly Rule[]): boolean {
  return a.length === b.length && a.every((rule, i) => equalRules(rule, b[i]))
}
