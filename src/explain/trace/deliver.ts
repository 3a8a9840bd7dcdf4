// From where a packet enters this node's kernel to where it leaves it:
// nat PREROUTING (OUTPUT for the node's own) -> route -> filter FORWARD, policies, nat POSTROUTING -> bridge, tunnel or
//   wire;
//   or, for the node itself, filter INPUT.
import type { MetRule, RuleWay } from '../../iptables/interpreter.ts'
import { parseAddress } from '../../net/address.ts'
import { bridgeFilterKeys, endpoint, type Flow, type Here, nodeOfPod } from './flow.ts'
import { after, type Hop, type Path, straight } from './hop.ts'
import { walkNextHop, walkToPod, walkTunnel, walkUnderlay } from './link.ts'
import { findMisrouting, noRoute } from './misrouting.ts'
import { walkPolicies } from './policies.ts'
import { walkToProcess } from './process.ts'
import { ask, type Walk } from './question.ts'
import { onlyWay, ruleHops, walkHook } from './rules.ts'
import type { Goal } from './place.ts'

/** All ways from here on. */
export function* walkFlow(here: Here, flow: Flow, goal: Goal): Walk<Path> {
  if (flow.bridged && (yield* ask('sysctl', { key: bridgeFilterKeys[flow.family] })) !== '1') {
    const unseen: Hop = {
      at: here.bridge,
      object: `${bridgeFilterKeys[flow.family]} is not 1`,
      note: 'neither rules nor policies see what goes from port to port',
      command: `cat /proc/sys/${bridgeFilterKeys[flow.family]}`,
    }
    return straight([unseen, ...(yield* walkToPod(here, flow))])
  }
  if (flow.device !== undefined) {
    const mangled = onlyWay(yield* walkHook(flow, 'mangle', 'PREROUTING'))
    if (isStopped(mangled)) return straight(ruleHops(here, flow, 'mangle', mangled))
  }
  const { ways, doubtful } = yield* walkHook(flow, 'nat', flow.device === undefined ? 'OUTPUT' : 'PREROUTING')
  const shared = sharedRules(ways)
  const branches: Path[] = []
  for (const way of ways) {
    const hops = ruleHops(here, flow, 'nat', { ...way, met: way.met.slice(shared) })
    const rest = isStopped(way) ? straight([]) : yield* walkRouted(here, translatedBy(way, flow), goal)
    branches.push(after(hops, { ...rest, chance: way.chance }))
  }
  const common =
    ways[0] === undefined
      ? []
      : ruleHops(
          here,
          flow,
          'nat',
          { ...ways[0], end: { kind: 'through' }, met: ways[0].met.slice(0, shared) },
          doubtful,
        )
  const [only] = branches
  return branches.length === 1 && only !== undefined ? after(common, only) : { chance: 1, hops: common, branches }
}

/** With its destination as it is by now. */
function* walkRouted(here: Here, flow: Flow, goal: Goal): Walk<Path> {
  if (flow.bridged && !flow.translated)
    return straight(
      yield* walkOut(here, flow, here.bridge, function* () {
        return yield* walkToPod(here, flow)
      }),
    )
  const { destination, source, device, mark } = flow
  const route = yield* ask('route', {
    destination,
    mark,
    ...(device === undefined ? {} : { arriving: { source, device } }),
  })
  if (route.type === 'none') return straight([yield* noRoute(here, flow, route)])
  const hop: Hop = { at: 'route', object: route.line, command: route.command }
  if (route.type !== 'unicast') return straight([...(yield* walkIn(here, flow, goal, hop))])
  const lost = yield* findMisrouting(here, flow, route)
  if (lost !== undefined) return straight([{ ...hop, broken: lost }])
  const hops = yield* walkOut(here, flow, route.device, function* (sent) {
    const unserved = unservedHop(here, sent, goal)
    if (unserved !== undefined) return [unserved]
    if (route.device === here.bridge) return yield* walkToPod(here, sent)
    const peer = nodeOfPod(here, destination)
    if (route.device === here.vxlanDevice) return yield* walkTunnel(here, sent, route.gateway ?? destination, peer)
    if (peer !== undefined && route.gateway !== undefined) return yield* walkUnderlay(here, sent, route.gateway, peer)
    return yield* walkNextHop(sent, route.device, route.gateway ?? destination, {
      at: route.device,
      object: `${endpoint(sent.source, 0).replace(/:0$/, '')} -> ${endpoint(destination, sent.port)}`,
      note: 'leaves this node; what is beyond is not seen from here',
      command: `ip neighbour show dev ${route.device}`,
    })
  })
  return straight([hop, ...hops])
}

/** To a process of this node. */
function* walkIn(here: Here, flow: Flow, goal: Goal, route: Hop): Walk<Hop[]> {
  const told: Hop[] = []
  for (const hook of flow.device === undefined ? (['OUTPUT', 'INPUT'] as const) : (['INPUT'] as const)) {
    const walk = yield* walkHook(
      { ...flow, device: hook === 'INPUT' ? (flow.device ?? 'lo') : undefined },
      'filter',
      hook,
      hook === 'OUTPUT' ? 'lo' : undefined,
    )
    const way = onlyWay(walk)
    const hops = ruleHops(here, flow, 'filter', way, walk.doubtful)
    if (isStopped(way)) return [route, ...hops]
    told.push(...hops)
  }
  const unserved = unservedHop(here, flow, goal)
  return unserved === undefined
    ? [route, ...told, ...(yield* walkToProcess(flow, here.node))]
    : [route, ...told, unserved]
}

/** By the hooks of what is sent on, and out. @param link told of the packet as it leaves */
function* walkOut(here: Here, flow: Flow, outDevice: string, link: (sent: Flow) => Walk<Hop[]>): Walk<Hop[]> {
  const filtering = yield* walkHook(flow, 'filter', flow.device === undefined ? 'OUTPUT' : 'FORWARD', outDevice)
  const filter = onlyWay(filtering)
  const hops = ruleHops(here, flow, 'filter', filter, filtering.doubtful)
  if (isStopped(filter)) return hops
  // The node's own packets are not forwarded, and no policy judges them here.
  if (flow.device !== undefined) hops.push(...(yield* walkPolicies(here, flow)))
  if (hops.at(-1)?.broken !== undefined) return hops
  const leaving = onlyWay(yield* walkHook({ ...flow, mark: filter.mark }, 'nat', 'POSTROUTING', outDevice))
  const source = yield* sourceAfter(leaving, flow)
  const renamed =
    source === flow.source
      ? []
      : ruleHops(here, flow, 'nat', leaving)
          .slice(-1)
          .map((hop) => ({ ...hop, note: `from here on it comes from ${source}` }))
  return [...hops, ...renamed, ...(yield* link({ ...flow, source }))]
}

function* sourceAfter({ end }: RuleWay, { source, destination }: Flow): Walk<Flow['source']> {
  if (end.kind === 'snat') return splitEndpoint(end.to).address
  if (end.kind !== 'masquerade') return source
  const route = yield* ask('route', { destination })
  return route.type === 'none' ? source : (route.source ?? source)
}

function unservedHop(
  { iptables }: Here,
  { destination, port, protocol, family, translated }: Flow,
  { service }: Goal,
): Hop | undefined {
  if (service === undefined || translated) return undefined
  return {
    at: 'nat KUBE-SERVICES',
    object: `no rule for ${endpoint(destination, port)}/${protocol}`,
    command: `${iptables[family]}-save -t nat | grep ${service}`,
    broken: {
      problem: `no rule leads ${endpoint(destination, port)}/${protocol} to an endpoint of Service ${service}`,
      remedy: `compare with kubectl -n ${service.split('/')[0]} get service ${service.split('/')[1]}; where the port is right, see whether the agent writes its rules: fairlead status`,
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

/** "10.244.1.5:80", "[fd00::5]:80", or an address alone. */
function splitEndpoint(text: string): { address: Flow['destination']; port: number | undefined } {
  const [, bracketed, plain, port] = /^(?:\[(.*?)\]|([\d.]+))(?::(\d+))?/.exec(text) ?? []
  return { address: parseAddress(bracketed ?? plain ?? text), port: port === undefined ? undefined : Number(port) }
}

/** How many rules all ways have in common, before dice are thrown. */
function sharedRules(ways: readonly RuleWay[]): number {
  const [first, ...others] = ways.map(({ met }) => met)
  const same = (a: MetRule | undefined, b: MetRule): boolean => a?.chain === b.chain && a.rule === b.rule
  const differs = (first ?? []).findIndex((rule, i) => others.some((met) => !same(met[i], rule)))
  return differs < 0 ? (first?.length ?? 0) : differs
}
