// Which UDP flows the Services of one family lead, should lead, and no longer lead: pure.
//
// A flow follows its frontend and its endpoint. It ends when the endpoint serves no longer, when the frontend is
// withdrawn (the Service, its address or its node port), when a source range no longer admits the client, and when it is
// older than the frontend and goes past it to the address itself. As with TCP, it stays with an endpoint that ends but
// serves, and with one that new connections are no longer led to. What kube-proxy deletes is deleted here too, but for
// flows that have only the number of a node port in common with it.
import { parseRule } from '../iptables/parse-rule.ts'
import { optionOf } from '../iptables/rule.ts'
import type { Lines } from '../iptables/table-state.ts'
import { type FlowVerdict, isTranslated, type UdpFlow } from '../kernel/udp-flow.ts'
import { type Address, canonicalAddress } from '../net/address.ts'
import { withinAny } from '../net/cidr.ts'
import type { FlowAudit } from '../runtime/flow-cleaner.ts'
import { endpointText } from './endpoint.ts'
import { answersNodePorts } from './node-ports.ts'
import type { NodeFacts, ServicesOptions } from './options.ts'
import { isSameFrontend } from './render-frontends.ts'
import type { Frontend, RenderedPort } from './rendered.ts'
import { admittedSources } from './routing.ts'
import { portKey, type ServicePort } from './service-port.ts'

/** What flows may still go through though no rule leads there any more. */
export interface Withdrawn {
  /** "203.0.113.20 53" or "node 30053": frontends that were withdrawn. */
  readonly places: ReadonlySet<string>
  /** "10.244.1.5:53": endpoints that left a Service. */
  readonly targets: ReadonlySet<string>
}

/** What of the node the audit depends on. */
export interface FlowScope {
  readonly options: ServicesOptions
  readonly node: NodeFacts
  /** Whether the kernel takes the address for one of its own. */
  readonly isLocal: (address: Address) => boolean
}

interface UdpPort {
  readonly port: ServicePort
  /** "10.244.1.5:53" of each endpoint that serves. */
  readonly targets: ReadonlySet<string>
}

export class UdpFlows {
  /** By portKey. */
  readonly #ports = new Map<string, UdpPort>()
  /** By place; of two that claim one place, the one whose rule is written. */
  #frontends: ReadonlyMap<string, Frontend> = new Map()
  /** Withdrawn by what was rendered last; their rules may still be in force. */
  #pending = noneWithdrawn()
  /** Their rules are gone, their flows may not have ended. */
  #withdrawn = noneWithdrawn()
  /** Being audited. */
  #audited = noneWithdrawn()
  #due = false

  /** Takes note of what a Service's ports were and are. */
  change(before: readonly RenderedPort[], after: readonly RenderedPort[]): void {
    const ports = after.filter(isUdp).map(({ port, serving }): UdpPort => ({ port, targets: new Set(serving) }))
    const kept = new Set(ports.map(({ port }) => portKey(port)))
    for (const { port } of before.filter(isUdp)) if (!kept.has(portKey(port))) this.#replace(portKey(port), undefined)
    for (const each of ports) this.#replace(portKey(each.port), each)
  }

  /**
   * Takes note of the frontends whose rules are to be written.
   * @param scopeChanged whether options or node have changed, which decide where node ports answer
   */
  layOut(frontends: readonly Frontend[], scopeChanged: boolean): void {
    const before = this.#frontends
    const after = new Map(frontends.filter(isUdpFrontend).map((frontend) => [placeOf(frontend), frontend]))
    this.#frontends = after
    for (const place of before.keys()) if (!after.has(place)) this.#pending.places.add(place)
    const isKnown = ([place, frontend]: readonly [string, Frontend]): boolean =>
      isSameFrontend(frontend, before.get(place))
    this.#due ||= scopeChanged || before.size !== after.size || ![...after].every(isKnown)
  }

  /**
   * Takes note of what the rules led to that stood in the kernel before the first sync, whoever wrote them: what is not
   * laid out by then was withdrawn meanwhile.
   */
  adopt(found: Iterable<readonly [chain: string, lines: Lines]>): void {
    for (const [chain, lines] of found) {
      if (!chain.startsWith('KUBE-')) continue
      for (const rule of lines) {
        const { place, target } = readUdpRule(rule)
        if (place !== undefined) this.#pending.places.add(place)
        if (target !== undefined) this.#pending.targets.add(target)
      }
    }
    this.#due ||= this.#pending.places.size + this.#pending.targets.size > 0
  }

  /** Takes over what an earlier agent had withdrawn without seeing the flows end. */
  restore({ places, targets }: Withdrawn): void {
    add(this.#withdrawn, { places, targets })
    this.#due ||= places.size > 0
  }

  /** What must not be forgotten until an audit has gone through. */
  get withdrawn(): Withdrawn {
    const parts = [this.#audited, this.#withdrawn, this.#pending]
    const all = noneWithdrawn()
    if (parts.every(({ places }) => places.size === 0)) return all
    for (const part of parts) add(all, part)
    for (const place of this.#frontends.keys()) all.places.delete(place)
    return all
  }

  /**
   * Takes note that the rules are as laid out.
   * @returns whether flows have to be audited.
   */
  inForce(): boolean {
    add(this.#withdrawn, this.#pending)
    this.#pending = noneWithdrawn()
    const due = this.#due
    this.#due = false
    return due
  }

  /** Whether any flow could be stale: no Service has UDP ports, nor had. */
  get isIdle(): boolean {
    return this.#frontends.size + this.#withdrawn.places.size === 0
  }

  /** Whether the audit asks which addresses are the node's own. */
  get hasNodePorts(): boolean {
    return [...this.#frontends.keys(), ...this.#withdrawn.places].some((place) => place.startsWith(`${anywhere} `))
  }

  /** Begins an audit of all flows: one at a time. */
  audit(scope: FlowScope): FlowAudit {
    const audited = this.#withdrawn
    this.#audited = audited
    this.#withdrawn = noneWithdrawn()
    return {
      judge: this.#judge(audited, scope),
      done: (succeeded) => {
        this.#audited = noneWithdrawn()
        if (!succeeded) add(this.#withdrawn, audited)
      },
    }
  }

  #judge({ places, targets }: Withdrawn, { options, node, isLocal }: FlowScope): (flow: UdpFlow) => FlowVerdict {
    const known =
      places.size === 0
        ? targets
        : new Set([...targets, ...[...this.#ports.values()].flatMap((port) => [...port.targets])])
    const hasNodePorts = answersNodePorts(options, node, isLocal)
    const admits = new Map<ServicePort, (source: Address) => boolean>()
    const isAdmitted = ({ port }: UdpPort, source: Address): boolean => {
      const test = admits.get(port) ?? withinAny(admittedSources(port, node))
      admits.set(port, test)
      return test(source)
    }
    return (flow) => {
      const own = `${flow.destination} ${flow.destinationPort}`
      const onNode = `${anywhere} ${flow.destinationPort}`
      const atNode = this.#frontends.get(onNode)
      const frontend =
        this.#frontends.get(own) ?? (atNode !== undefined && hasNodePorts(flow.destination) ? atNode : undefined)
      const port = frontend === undefined ? undefined : this.#ports.get(portKey(frontend.owner))
      const target = endpointText({ address: flow.replySource, port: flow.replySourcePort })
      if (frontend !== undefined && port !== undefined) {
        if (!port.targets.has(target)) return 'end-lead'
        return frontend.kind === 'load-balancer' && !isAdmitted(port, flow.source) ? 'end-flow' : 'keep'
      }
      // A node port that is no longer on this address counts as withdrawn there.
      const wasOnNode = (atNode !== undefined || places.has(onNode)) && isLocal(flow.destination)
      if (!wasOnNode && !places.has(own)) return 'keep'
      const wasTarget = known.has(target) || (atNode !== undefined && this.#leadsTo(atNode, target))
      return isTranslated(flow) && wasTarget ? 'end-lead' : 'keep'
    }
  }

  #leadsTo({ owner }: Frontend, target: string): boolean {
    return this.#ports.get(portKey(owner))?.targets.has(target) === true
  }

  #replace(key: string, port: UdpPort | undefined): void {
    const before = this.#ports.get(key)
    if (port === undefined) this.#ports.delete(key)
    else this.#ports.set(key, port)
    if (before === undefined) return
    for (const target of before.targets) {
      if (port?.targets.has(target) === true) continue
      this.#pending.targets.add(target)
      this.#due = true
    }
    if (JSON.stringify(before.port.sourceRanges) !== JSON.stringify(port?.port.sourceRanges)) this.#due = true
  }
}

/** In a place: any address of the node. */
const anywhere = 'node'

function placeOf({ address, port }: Pick<Frontend, 'address' | 'port'>): string {
  return `${address ?? anywhere} ${port}`
}

function isUdp({ port }: RenderedPort): boolean {
  return port.protocol === 'udp'
}

function isUdpFrontend({ protocol }: Frontend): boolean {
  return protocol === 'udp'
}

/**
 * Reads back what a rule of a KUBE- chain leads: the frontend that it is for, or the endpoint that it leads to.
 * @param text as iptables-save prints it behind `-A CHAIN `
 */
function readUdpRule(text: string): { place?: string; target?: string } {
  // Most rules are neither, and there may be 100,000.
  if (!text.includes('-p udp')) return {}
  const rule = parseRule(text)
  const target = optionOf(rule, '--to-destination')
  if (target !== undefined) return { target }
  const port = Number(optionOf(rule, '--dport'))
  if (Number.isNaN(port) || !leadsOn.test(rule.target?.name ?? '')) return {}
  const [destination = '', prefix] = optionOf(rule, '-d')?.split('/') ?? []
  // 127.0.0.0/8: the second rule of a node port, which only counts.
  const isHost = prefix === undefined || prefix === '32' || prefix === '128'
  return { place: placeOf({ address: isHost ? canonicalAddress(destination) : undefined, port }) }
}

/** Chains that frontends lead to. */
const leadsOn = /^KUBE-(?:SVC|SVL|EXT|FW)-[A-Z2-7]{16}$/

interface Collected {
  readonly places: Set<string>
  readonly targets: Set<string>
}

function noneWithdrawn(): Collected {
  return { places: new Set(), targets: new Set() }
}

function add(all: Collected, { places, targets }: Withdrawn): void {
  for (const place of places) all.places.add(place)
  for (const target of targets) all.targets.add(target)
}
