// Walks a packet through this node's kernel, from where it enters to where it leaves:
//
//   nat PREROUTING (OUTPUT if a process of the node sends it) -> route
//     -> filter FORWARD -> policies -> nat POSTROUTING -> bridge, tunnel or another device
//     -> or, for an address of the node, filter INPUT -> process
import type { MetRule, RuleWay } from '../../iptables/interpreter.ts'
import { parseAddress } from '../../net/address.ts'
import type { TraceTarget } from './trace-ends.ts'
import { bridgeFilterKeys, endpoint, type Flow, type LocalNode, nodeOfPod } from './flow.ts'
import { type Hop, isBroken, type Path, prepend, singlePath } from './hop.ts'
import { likeliestWay, ruleHops, walkHook } from './iptables-hooks.ts'
import { walkToPod } from './local-pod.ts'
import { findMisrouting, noRoute } from './misrouting.ts'
import { walkPolicies } from './policies.ts'
import { walkToProcess } from './process.ts'
import { ask, type TraceWalk } from './question.ts'
import { walkNextHop, walkTunnel, walkUnderlay } from './remote-node.ts'

/** Walks a packet that has entered the node; each random choice of a rule makes branches. */
export function* walkFlow(local: LocalNode, flow: Flow, target: TraceTarget): TraceWalk<Path> {
  const bridgeFilterKey = bridgeFilterKeys[flow.family]
  if (flow.bridged && (yield* ask('sysctl', { key: bridgeFilterKey })) !== '1') {
    const unfiltered: Hop = {
      at: local.bridge,
      object: `${bridgeFilterKey} is not 1`,
      note: 'neither rules nor policies see packets between ports of the bridge',
      command: `cat /proc/sys/${bridgeFilterKey}`,
    }
    return singlePath([unfiltered, ...(yield* walkToPod(local, flow))])
  }
  if (flow.device !== undefined) {
    const mangled = likeliestWay(yield* walkHook(flow, 'mangle', 'PREROUTING'))
    if (isStopped(mangled)) return singlePath(ruleHops(local, flow, 'mangle', mangled))
  }
  const { ways, doubtful } = yield* walkHook(flow, 'nat', flow.device === undefined ? 'OUTPUT' : 'PREROUTING')
  const common = commonRules(ways)
  const branches: Path[] = []
  for (const way of ways) {
    const hops = ruleHops(local, flow, 'nat', { ...way, met: way.met.slice(common) })
    const rest = isStopped(way) ? singlePath([]) : yield* walkRouted(local, translatedBy(way, flow), target)
    branches.push(prepend(hops, { ...rest, chance: way.chance }))
  }
  const [first] = ways
  const commonHops =
    first === undefined
      ? []
      : ruleHops(local, flow, 'nat', { ...first, end: { kind: 'through' }, met: first.met.slice(0, common) }, doubtful)
  const [only] = branches
  return branches.length === 1 && only !== undefined
    ? prepend(commonHops, only)
    : { chance: 1, hops: commonHops, branches }
}

/** Walks a packet whose destination is final: routes it, and delivers it or sends it on. */
function* walkRouted(local: LocalNode, flow: Flow, target: TraceTarget): TraceWalk<Path> {
  if (flow.bridged && !flow.translated)
    return singlePath(
      yield* walkForward(local, flow, local.bridge, function* () {
        return yield* walkToPod(local, flow)
      }),
    )
  const { destination, source, device, mark } = flow
  const route = yield* ask('route', {
    destination,
    mark,
    ...(device === undefined ? {} : { arriving: { source, device } }),
  })
  if (route.type === 'none') return singlePath([yield* noRoute(local, flow, route)])
  const hop: Hop = { at: 'route', object: route.line, command: route.command }
  if (route.type !== 'unicast') return singlePath([...(yield* walkInput(local, flow, target, hop))])
  const misrouting = yield* findMisrouting(local, flow, route)
  if (misrouting !== undefined) return singlePath([{ ...hop, broken: misrouting }])
  const hops = yield* walkForward(local, flow, route.device, function* (sent) {
    const unserved = unservedHop(local, sent, target)
    if (unserved !== undefined) return [unserved]
    if (route.device === local.bridge) return yield* walkToPod(local, sent)
    const peer = nodeOfPod(local, destination)
    const gateway = route.gateway ?? destination
    if (route.device === local.vxlanDevice) return yield* walkTunnel(local, sent, gateway, peer)
    if (peer !== undefined && route.gateway !== undefined) return yield* walkUnderlay(local, sent, route.gateway, peer)
    return yield* walkNextHop(sent, route.device, gateway, {
      at: route.device,
      object: `${endpoint(sent.source, 0).replace(/:0$/, '')} -> ${endpoint(destination, sent.port)}`,
      note: 'leaves this node; what is beyond is not seen from here',
      command: `ip neighbour show dev ${route.device}`,
    })
  })
  return singlePath([hop, ...hops])
}

/** Walks the hooks of a packet for an address of this node, and on to the process. */
function* walkInput(local: LocalNode, flow: Flow, target: TraceTarget, route: Hop): TraceWalk<Hop[]> {
  const passed = [route]
  for (const hook of flow.device === undefined ? (['OUTPUT', 'INPUT'] as const) : (['INPUT'] as const)) {
    const walk = yield* walkHook(
      { ...flow, device: hook === 'INPUT' ? (flow.device ?? 'lo') : undefined },
      'filter',
      hook,
      hook === 'OUTPUT' ? 'lo' : undefined,
    )
    const way = likeliestWay(walk)
    const hops = ruleHops(local, flow, 'filter', way, walk.doubtful)
    if (isStopped(way)) return [route, ...hops]
    passed.push(...hops)
  }
  const unserved = unservedHop(local, flow, target)
  return unserved === undefined ? [...passed, ...(yield* walkToProcess(flow, local.node))] : [...passed, unserved]
}

/**
 * Walks the hooks of a packet that is sent on.
 * @param deliver continues with the packet as it leaves, with its source address after SNAT.
 */
function* walkForward(
  local: LocalNode,
  flow: Flow,
  outDevice: string,
  deliver: (sent: Flow) => TraceWalk<Hop[]>,
): TraceWalk<Hop[]> {
  const filtering = yield* walkHook(flow, 'filter', flow.device === undefined ? 'OUTPUT' : 'FORWARD', outDevice)
  const filter = likeliestWay(filtering)
  const hops = ruleHops(local, flow, 'filter', filter, filtering.doubtful)
  if (isStopped(filter)) return hops
  // Policies filter only forwarded packets, not those that processes of the node send.
  if (flow.device !== undefined) hops.push(...(yield* walkPolicies(local, flow)))
  if (isBroken(hops)) return hops
  const leaving = likeliestWay(yield* walkHook({ ...flow, mark: filter.mark }, 'nat', 'POSTROUTING', outDevice))
  const source = yield* sourceAfter(leaving, flow)
  if (source !== flow.source) {
    const snat = ruleHops(local, flow, 'nat', leaving).at(-1)
    if (snat !== undefined) hops.push({ ...snat, note: `from here on it comes from ${source}` })
  }
  return [...hops, ...(yield* deliver({ ...flow, source }))]
}

function* sourceAfter({ end }: RuleWay, { source, destination }: Flow): TraceWalk<Flow['source']> {
  if (end.kind === 'snat') return splitEndpoint(end.to).address
  if (end.kind !== 'masquerade') return source
  const route = yield* ask('route', { destination })
  return route.type === 'none' ? source : (route.source ?? source)
}

/** Reports that the target is an address of a Service, but no rule has translated the packet. */
function unservedHop(
  { iptables }: LocalNode,
  { destination, port, protocol, family, translated }: Flow,
  { service }: TraceTarget,
): Hop | undefined {
  if (service === undefined || translated) return undefined
  const [namespace, name] = service.split('/')
  const frontend = `${endpoint(destination, port)}/${protocol}`
  return {
    at: 'nat KUBE-SERVICES',
    object: `no rule for ${frontend}`,
    command: `${iptables[family]}-save -t nat | grep ${service}`,
    broken: {
      problem: `no rule leads ${frontend} to an endpoint of Service ${service}`,
      remedy:
        `compare with kubectl -n ${namespace} get service ${name}; ` +
        'where the port is right, see whether the agent writes its rules: fairlead status',
    },
  }
}

function isStopped({ end }: RuleWay): boolean {
  return end.kind === 'drop' || end.kind === 'reject'
}

function translatedBy(way: RuleWay, flow: Flow): Flow {
  const marked = { ...flow, mark: way.mark }
  if (way.end.kind !== 'dnat') return marked
  const { address, port } = splitEndpoint(way.end.to)
  return { ...marked, destination: address, port: port ?? flow.port, translated: true }
}

/** Splits "10.244.1.5:80", "[fd00::5]:80", or an address without a port. */
function splitEndpoint(text: string): { address: Flow['destination']; port: number | undefined } {
  const [, bracketed, plain, port] = /^(?:\[(.*?)\]|([\d.]+))(?::(\d+))?/.exec(text) ?? []
  return { address: parseAddress(bracketed ?? plain ?? text), port: port === undefined ? undefined : Number(port) }
}

/** Returns how many rules all ways have in common, before the first random choice. */
function commonRules(ways: readonly RuleWay[]): number {
  const [first, ...others] = ways.map(({ met }) => met)
  const same = (a: MetRule | undefined, b: MetRule): boolean => a?.chain === b.chain && a.rule === b.rule
  const differs = (first ?? []).findIndex((rule, i) => others.some((met) => !same(met[i], rule)))
  return differs < 0 ? (first?.length ?? 0) : differs
}
