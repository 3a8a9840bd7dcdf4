// A recorded node for unit tests of the trace. It answers the questions of a walk from tool output (golden/, and
// below). It is node1 of a lab with two nodes. Pods default/a, db, near and caged are on node1; default/b and far on
// node2. Service default/web has the endpoints a and b, default/none has none. A policy isolates default/db for
// ingress, and another isolates caged for egress.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Found, FoundPod } from '../../../src/agent/lookup-shape.ts'
import type { NftObject } from '../../../src/kernel/nftables.ts'
import type { FdbEntry, Link, Neighbour } from '../../../src/kernel/observed.ts'
import {
  parseRouteAnswer,
  type RouteAnswer,
  routeCommand,
  type RouteQuestion,
} from '../../../src/kernel/route-lookup.ts'
import { type Address, parseAddress } from '../../../src/net/address.ts'
import { cidrContains, parseCidr } from '../../../src/net/cidr.ts'
import { parseInterfaceName } from '../../../src/net/interface-name.ts'
import { macOf, parseMac } from '../../../src/net/mac.ts'
import type { PodAttachment } from '../../../src/pods/attachment-codec.ts'
import type { LocalNode } from '../../../src/explain/trace/flow.ts'
import type { TraceAnswer, TraceQuestion, TraceWalk } from '../../../src/explain/trace/question.ts'

const golden = (name: string): string => readFileSync(join(import.meta.dirname, 'golden', name), 'utf8')

const localPods: Readonly<Record<string, Address>> = {
  a: parseAddress('172.30.0.2'),
  db: parseAddress('172.30.0.3'),
  near: parseAddress('172.30.0.4'),
  caged: parseAddress('172.30.0.5'),
}

export const local: LocalNode = {
  node: 'node1',
  bridge: 'cni0',
  vxlanDevice: 'fairlead.1',
  nodes: [
    {
      name: 'node1',
      uid: '1',
      createdAt: 0,
      podCidrs: [parseCidr('172.30.0.0/24')],
      internalAddresses: [parseAddress('192.168.0.21')],
    },
    {
      name: 'node2',
      uid: '2',
      createdAt: 0,
      podCidrs: [parseCidr('172.30.1.0/24')],
      internalAddresses: [parseAddress('192.168.0.22')],
    },
  ],
  attachments: Object.entries(localPods).map(([name, address]) => attachmentOf(name, address)),
  iptables: { 4: 'iptables-nft', 6: 'ip6tables-nft' },
}

function attachmentOf(name: string, address: Address): PodAttachment {
  return {
    network: 'fairlead',
    containerId: name,
    podInterface: parseInterfaceName('eth0'),
    hostInterface: parseInterfaceName(`veth-${name}`),
    netns: `/run/netns/${name}`,
    netnsId: undefined,
    addresses: [address],
    podMac: macOf('pod', address),
    mtu: 1450,
    pod: { namespace: 'default', name, uid: name },
    portMappings: [],
    bandwidth: undefined,
    createdAt: 0,
    podCidrs: [parseCidr('172.30.0.0/24')],
    routed: false,
  }
}

function linkOf(name: string, changes: Partial<Link> = {}): Link {
  return {
    index: 1,
    name,
    mac: undefined,
    mtu: 1450,
    up: true,
    carrier: true,
    group: 98,
    alias: undefined,
    type: undefined,
    master: undefined,
    peer: undefined,
    hairpin: undefined,
    vxlan: undefined,
    addresses: [],
    ...changes,
  }
}

function withAddress(text: string): Partial<Link> {
  const [address = '', prefix] = text.split('/')
  return { addresses: [{ address: parseAddress(address), prefix: Number(prefix), scope: 'global' }] }
}

/** The state of the node. Tests change it before the walk. */
export class RecordedNode {
  links: Link[] = [
    linkOf('eth0', withAddress('192.168.0.21/24')),
    linkOf('cni0', withAddress('172.30.0.1/24')),
    linkOf('fairlead.1', withAddress('172.30.0.0/32')),
    ...Object.keys(localPods).map((name) => linkOf(`veth-${name}`, { master: 'cni0', hairpin: true })),
  ]
  podLinks = new Map(
    Object.entries(localPods).map(([name, address]) => [
      `/run/netns/${name}`,
      [linkOf('eth0', withAddress(`${address}/24`))],
    ]),
  )
  /** Lines of `ip route` in order of priority, each with the answer of `ip -j route get` when it matches. */
  routes: { to: string; line: string; json: object }[] = [
    {
      to: '192.168.0.21/32',
      line: 'local 192.168.0.21 dev eth0 table local proto kernel scope host src 192.168.0.21',
      json: { type: 'local', dev: 'lo', prefsrc: '192.168.0.21' },
    },
    {
      to: '172.30.0.0/24',
      line: '172.30.0.0/24 dev cni0 proto kernel scope link src 172.30.0.1',
      json: { dev: 'cni0', prefsrc: '172.30.0.1' },
    },
    {
      to: '172.30.1.0/24',
      line: '172.30.1.0/24 via 172.30.1.0 dev fairlead.1 proto 98 onlink',
      json: { gateway: '172.30.1.0', dev: 'fairlead.1', prefsrc: '172.30.0.0' },
    },
    {
      to: '192.168.0.0/24',
      line: '192.168.0.0/24 dev eth0 proto kernel scope link src 192.168.0.21',
      json: { dev: 'eth0', prefsrc: '192.168.0.21' },
    },
    {
      to: '0.0.0.0/0',
      line: 'default via 192.168.0.1 dev eth0',
      json: { gateway: '192.168.0.1', dev: 'eth0', prefsrc: '192.168.0.21' },
    },
  ]
  neighbours: Neighbour[] = [
    { address: parseAddress('172.30.1.0'), mac: parseMac('02:58:ac:1e:01:00'), permanent: true },
  ]
  fdb: FdbEntry[] = [
    { mac: parseMac('02:58:ac:1e:01:00'), destination: parseAddress('192.168.0.22'), self: true, permanent: true },
  ]
  rules: Readonly<Record<string, string>> = {
    nat: golden('nat.rules'),
    filter: golden('filter.rules'),
    mangle: '-P PREROUTING ACCEPT\n',
  }
  policyTable: readonly NftObject[] | undefined = JSON.parse(golden('policy-table.json')) as NftObject[]
  wireTable: readonly NftObject[] | undefined
  sysctls: Readonly<Record<string, string>> = { 'net/bridge/bridge-nf-call-iptables': '1', 'net/ipv4/ip_forward': '1' }
  found: readonly Found[] = []

  walk<T>(walk: TraceWalk<T>): T {
    let step = walk.next()
    while (step.done !== true) step = walk.next(this.#answer(step.value))
    return step.value
  }

  #answer(question: TraceQuestion): TraceAnswer {
    switch (question.kind) {
      case 'route':
        return this.#route(question)
      case 'chains':
        return new Map(
          question.names.flatMap((name) => {
            const lines = (this.rules[question.table] ?? '')
              .split('\n')
              .filter((line) =>
                ['-P', '-N', '-A'].some((verb) => line.startsWith(`${verb} ${name} `) || line === `${verb} ${name}`),
              )
            return lines.length === 0 ? [] : [[name, lines] as const]
          }),
        )
      case 'links':
        return this.links
      case 'linksIn':
        return this.podLinks.get(question.netns)
      case 'neighbours':
        return question.device === 'fairlead.1' ? this.neighbours : []
      case 'fdb':
        return question.device === 'fairlead.1' ? this.fdb : []
      case 'listeners':
        return [{ address: undefined, port: 8080 }]
      case 'nftTable':
        return question.name === 'inet fairlead' ? this.policyTable : this.wireTable
      case 'sysctl':
        return this.sysctls[question.key]
      case 'lookup':
        return question.of.map(
          (address) =>
            this.found.find(({ pods }) => pods[0]?.addresses.includes(address)) ?? {
              of: address,
              pods: [],
              services: [],
              nodes: [],
              allPods: true,
              near: [],
            },
        )
    }
  }

  #route(question: RouteQuestion): RouteAnswer {
    const command = routeCommand(question)
    if (question.netns !== undefined) return podRoute(question.destination, command)
    const route = this.routes.find(({ to }) => cidrContains(parseCidr(to), question.destination))
    return route === undefined
      ? { type: 'none', reason: 'Network is unreachable', command }
      : parseRouteAnswer(JSON.stringify([route.json]), route.line, command)
  }
}

function podRoute(destination: Address, command: string): RouteAnswer {
  if (cidrContains(parseCidr('172.30.0.0/24'), destination))
    return parseRouteAnswer('[{"dev":"eth0"}]', '172.30.0.0/24 dev eth0 proto kernel scope link', command)
  return parseRouteAnswer('[{"dev":"eth0","gateway":"172.30.0.1"}]', 'default via 172.30.0.1 dev eth0', command)
}

/** Builds an answer of the agent about one pod. */
export function foundPod(name: string, address: string, changes: Partial<FoundPod> = {}): Found {
  const pod: FoundPod = {
    namespace: 'default',
    name,
    node: 'node1',
    phase: 'Running',
    hostNetwork: false,
    addresses: [parseAddress(address)],
    labels: { app: name },
    ports: [],
    namespaceLabels: { 'kubernetes.io/metadata.name': 'default' },
    ...changes,
  }
  return { of: name, pods: [pod], services: [], nodes: [], allPods: true, near: [] }
}
