// What the tables of one family should hold, kept up to date by rendering again what has changed and that alone.
import type { ClusterEndpointSlice } from '../cluster/endpoint-slice.ts'
import type { Problem } from '../cluster/problem.ts'
import type { ClusterService } from '../cluster/service.ts'
import { assembleRules } from './desired.ts'
import { endpointsOf } from './endpoints.ts'
import { flatEndpoints, flatFrontends } from './flat-layout.ts'
import { dispatchTree } from './layout/dispatch-tree.ts'
import { endpointTree } from './layout/endpoint-tree.ts'
import type { NodeFacts, ServicesOptions } from './options.ts'
import { isLargeCluster, type RenderContext } from './render-context.ts'
import { renderServicePort } from './render-service-port.ts'
import type { Chains, RenderedPort } from './rendered.ts'
import { portKey } from './service-port.ts'
import { servicePortsOf } from './service-ports.ts'
import type { Table } from './sync/ours.ts'
import { UdpFlows } from './udp-flows.ts'

export interface Sources {
  readonly services: ReadonlyMap<string, ClusterService>
  slicesOf(service: string): Iterable<ClusterEndpointSlice>
}

/** Where the chains go. */
export interface Target {
  /** Table nat as it is or will be: a layout that exists is kept as far as it can be. */
  readonly laidOut: Chains
  want(table: Table, chains: Iterable<readonly [chain: string, rules: readonly string[]]>): void
  unwant(table: Table, chains: Iterable<string>): void
}

interface Rendered {
  readonly ports: readonly RenderedPort[]
  readonly endpoints: number
}

export class FamilyRules {
  readonly #target: Target
  readonly #sources: Sources
  readonly #rendered = new Map<string, Rendered>()
  readonly flows = new UdpFlows()
  #context: RenderContext | undefined
  #endpoints = 0
  /** The chains that belong to no port: the layout's, and those that depend on options alone. */
  #shared: Readonly<Record<'filter' | 'nat', ReadonlySet<string>>> = { filter: new Set(), nat: new Set() }
  problems: readonly Problem[] = []

  constructor(parts: { target: Target; sources: Sources }) {
    this.#target = parts.target
    this.#sources = parts.sources
  }

  get size(): { ports: number; endpoints: number } {
    return { ports: [...this.#rendered.values()].reduce((sum, { ports }) => sum + ports.length, 0), endpoints: this.#endpoints }
  }

  /** @param dirty keys of Services to render again; all of them where options or node have changed. */
  update(dirty: Iterable<string>, options: ServicesOptions, node: NodeFacts): void {
    const same = this.#context !== undefined && this.#context.options === options && this.#context.node === node
    let laidOut = same
    if (!same) this.#context = { options, node, largeCluster: this.#context?.largeCluster ?? false, endpointLayout: options.layout === 'tree' ? endpointTree : flatEndpoints }
    for (const key of same ? dirty : this.#all()) if (this.#render(key)) laidOut = false
    // Comments of single endpoints go above the limit and come back below it.
    const largeCluster = isLargeCluster(this.#endpoints)
    if (this.#context !== undefined && largeCluster !== this.#context.largeCluster) {
      this.#context = { ...this.#context, largeCluster }
      for (const key of this.#all()) this.#render(key)
    }
    if (!laidOut) this.#layOut(options, node)
  }

  #all(): Set<string> {
    return new Set([...this.#rendered.keys(), ...this.#sources.services.keys()])
  }

  /** @returns whether anything but the port's own chains has changed. */
  #render(key: string): boolean {
    const context = this.#context
    if (context === undefined) return false
    const before = this.#rendered.get(key)
    const service = this.#sources.services.get(key)
    const slices = [...this.#sources.slicesOf(key)]
    let endpoints = 0
    const ports = (service === undefined ? [] : servicePortsOf(service, context.node.family)).map((port) => {
      const own = endpointsOf(port, slices, context.node.name)
      endpoints += own.length
      return renderServicePort(port, own, context)
    })
    if (ports.length > 0) this.#rendered.set(key, { ports, endpoints })
    else this.#rendered.delete(key)
    this.#endpoints += endpoints - (before?.endpoints ?? 0)
    const kept = new Set(ports.flatMap(({ chains }) => [...chains.keys()]))
    for (const { chains } of before?.ports ?? []) this.#target.unwant('nat', [...chains.keys()].filter((chain) => !kept.has(chain)))
    for (const { chains } of ports) this.#target.want('nat', chains)
    this.flows.change(before?.ports ?? [], ports)
    return !sameEntrances(before?.ports ?? [], ports)
  }

  #layOut(options: ServicesOptions, node: NodeFacts): void {
    const ports = [...this.#rendered.values()].flatMap((each) => each.ports.map((port) => ({ ...port, chains: noChains })))
    const layout = options.layout === 'tree' ? dispatchTree(this.#target.laidOut) : flatFrontends
    const { rules, problems } = assembleRules(ports, { options, node }, layout)
    this.problems = problems
    for (const table of ['filter', 'nat'] as const) {
      this.#target.unwant(table, [...this.#shared[table]].filter((chain) => !rules[table].has(chain)))
      this.#target.want(table, rules[table])
    }
    this.#shared = { filter: new Set(rules.filter.keys()), nat: new Set(rules.nat.keys()) }
  }
}

const noChains: Chains = new Map()

/** Whether they are reached in the same way: then no chain that is shared with other ports changes. */
function sameEntrances(before: readonly RenderedPort[], after: readonly RenderedPort[]): boolean {
  return before.length === after.length && before.every((port, i) => {
    const other = after[i]
    return other !== undefined && portKey(port.port) === portKey(other.port) && port.port.createdAt === other.port.createdAt && sameRulesOf(port.frontends, other.frontends) && sameRulesOf(port.filter, other.filter)
  })
}

function sameRulesOf(a: readonly { rule: string }[], b: readonly { rule: string }[]): boolean {
  return a.length === b.length && a.every(({ rule }, i) => rule === b[i]?.rule)
}
