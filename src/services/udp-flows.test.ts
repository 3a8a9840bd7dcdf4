import fc from 'fast-check'
import { expect, test } from 'vitest'
import { formatRule } from '../iptables/rule.ts'
import type { Lines } from '../iptables/table-state.ts'
import type { FlowVerdict, UdpFlow } from '../kernel/udp-flow.ts'
import { type Address, parseAddress } from '../net/address.ts'
import { FamilyRules } from './family-rules.ts'
import type { ServicesOptions } from './options.ts'
import { at, service, slice, snapshotOf } from './scenarios.ts'

type Objects = readonly Readonly<Record<string, unknown>>[]

const node = '192.168.0.21'
const localAddresses = new Set([node, '192.168.0.22', '127.0.0.1', '10.244.1.1'])

/** One agent's rules, without a kernel. */
class Agent {
  /** Chains of table nat that are in force, for the next agent to find. */
  readonly chains = new Map<string, Lines>()
  readonly rules: FamilyRules
  #options: ServicesOptions | undefined
  #node = snapshotOf({ objects: [] }).node
  #services: ConstructorParameters<typeof FamilyRules>[0]['sources']['services'] = new Map()
  #slices: ReturnType<typeof snapshotOf>['slices'] = []

  constructor(found: ReadonlyMap<string, Lines> = new Map()) {
    const services = () => this.#services
    this.rules = new FamilyRules({
      target: {
        held: () => found,
        want: (table, chains) => {
          if (table === 'nat') for (const [chain, rules] of chains) this.chains.set(chain, rules.map(formatRule))
        },
        unwant: (_, chains) => {
          for (const chain of chains) this.chains.delete(chain)
        },
      },
      sources: {
        get services() {
          return services()
        },
        slicesOf: (key) => [...this.#slices].filter((each) => `${each.namespace}/${each.service}` === key),
      },
    })
  }

  /** @returns whether flows have to be audited. */
  sync(objects: Objects, options: Partial<ServicesOptions> = {}): boolean {
    const snapshot = snapshotOf({ objects, options })
    const before = this.#services
    this.#services = new Map([...snapshot.services].map((each) => [`${each.namespace}/${each.name}`, each]))
    this.#slices = snapshot.slices
    if (JSON.stringify(snapshot.options) !== JSON.stringify(this.#options)) this.#options = snapshot.options
    const dirty = new Set([...before.keys(), ...this.#services.keys()])
    for (const _ of this.rules.update(dirty, this.#options ?? snapshot.options, this.#node)) continue
    return this.rules.flows.inForce()
  }

  /** Audits these flows, "DESTINATION:PORT>ENDPOINT:PORT" or "DESTINATION:PORT" for one that goes past. */
  audit(flows: readonly string[], succeeded = true): FlowVerdict[] {
    const { judge, done } = this.rules.flows.audit({
      options: this.#options ?? snapshotOf({ objects: [] }).options,
      node: this.#node,
      isLocal: (address) => localAddresses.has(address),
    })
    const verdicts = flows.map((text) => judge(flow(text)))
    done(succeeded)
    return verdicts
  }
}

function flow(text: string, source = '192.168.0.9'): UdpFlow {
  const [to = '', from = to] = text.split('>')
  const [destination, replySource] = [to, from].map((each) => parseAddress(each.split(':')[0] ?? '')) as [
    Address,
    Address,
  ]
  return {
    source: parseAddress(source),
    sourcePort: 40_001,
    destination,
    destinationPort: Number(to.split(':')[1]),
    replySource,
    replySourcePort: Number(from.split(':')[1]),
  }
}

const dnsPort = { name: 'dns', port: 53, protocol: 'UDP', nodePort: 30_053 }
const clusterIp = '10.254.0.10:53'
const clusterIpAlone = { type: 'ClusterIP', externalIPs: [], ports: [{ ...dnsPort, nodePort: 0 }] }
const external = '203.0.113.20:53'
const nodePort = `${node}:30053`
const [one, two] = ['10.244.1.5:5353', '10.244.2.7:5353']
const dns = (spec: object = {}, meta: object = {}) =>
  service({ type: 'NodePort', externalIPs: ['203.0.113.20'], ports: [dnsPort], ...spec }, { name: 'dns', ...meta })
const endpoints = (rows: readonly object[], more: object = {}) =>
  slice(rows as never, { name: 'dns-1', service: 'dns', ports: [{ ...dnsPort, port: 5353 }], ...more })
const [first, second] = [at('10.244.1.5', 'worker-1'), at('10.244.2.7', 'worker-2')]

test('flows to endpoints that serve are kept, whatever leads to them', () => {
  const agent = new Agent()
  expect(agent.sync([dns(), endpoints([first, second])])).toBe(true)
  expect(agent.audit([clusterIp, external, nodePort].map((to) => `${to}>${one}`))).toEqual(['keep', 'keep', 'keep'])
})

test('flows of a vanished endpoint end, at each frontend that led to it and nowhere else', () => {
  const agent = new Agent()
  agent.sync([dns(), endpoints([first, second])])
  agent.audit([])
  expect(agent.sync([dns(), endpoints([second])])).toBe(true)
  expect(
    agent.audit([
      `${clusterIp}>${one}`,
      `${external}>${one}`,
      `${nodePort}>${one}`,
      // Directly, from a Service of another proxy, from a host port.
      `${one}>${one}`,
      `10.96.0.9:53>${one}`,
      `${node}:53>${one}`,
    ]),
  ).toEqual(['end-lead', 'end-lead', 'end-lead', 'keep', 'keep', 'keep'])
})

test('a Service that loses its last endpoint, and one that is deleted, are no exception', () => {
  for (const after of [[dns()], []]) {
    const agent = new Agent()
    agent.sync([dns(), endpoints([first])])
    agent.audit([])
    agent.sync([...after])
    expect(agent.audit([clusterIp, external, nodePort].map((to) => `${to}>${one}`))).toEqual([
      'end-lead',
      'end-lead',
      'end-lead',
    ])
  }
})

test('in two steps, without an audit between them', () => {
  const agent = new Agent()
  agent.sync([dns(), endpoints([first])])
  agent.audit([])
  agent.sync([dns()])
  agent.sync([])
  expect(agent.audit([`${external}>${one}`])).toEqual(['end-lead'])
})

test('a frontend that is withdrawn from a living Service', () => {
  const agent = new Agent()
  agent.sync([dns(), endpoints([first])])
  agent.audit([])
  expect(agent.sync([dns(clusterIpAlone), endpoints([first])])).toBe(true)
  const flows = [`${clusterIp}>${one}`, `${external}>${one}`, `${nodePort}>${one}`]
  const verdicts = ['keep', 'end-lead', 'end-lead']
  // What could not be deleted is asked for again; what was, is not.
  expect(agent.audit(flows, false)).toEqual(verdicts)
  expect(agent.audit(flows)).toEqual(verdicts)
  expect(agent.audit(flows)).toEqual(['keep', 'keep', 'keep'])
})

test('a withdrawn frontend ends what it led to endpoints, and nothing else at its address', () => {
  const agent = new Agent()
  agent.sync([dns({ externalIPs: [node] }), endpoints([first])])
  agent.audit([])
  agent.sync([dns(clusterIpAlone), endpoints([first])])
  expect(
    agent.audit([
      `${node}:53>${one}`,
      `${node}:53>172.17.0.2:53`,
      `${node}:53`,
      `${nodePort}>172.17.0.2:53`,
      '192.168.0.99:30053>10.244.1.5:5353',
    ]),
  ).toEqual(['end-lead', 'keep', 'keep', 'keep', 'keep'])
})

test('until the rules are in force, no audit takes a withdrawn frontend for one whose flows have ended', () => {
  const agent = new Agent()
  agent.sync([dns(), endpoints([first])])
  const running = agent.rules.flows.audit({
    ...snapshotOf({ objects: [] }),
    isLocal: (address) => localAddresses.has(address),
  })
  agent.sync([])
  running.done(true)
  expect(agent.audit([`${external}>${one}`])).toEqual(['end-lead'])
})

test('flows past a frontend end when it leads somewhere, at the addresses that it is on', () => {
  const agent = new Agent()
  agent.sync([dns()])
  expect(agent.audit([clusterIp, external, nodePort])).toEqual(['keep', 'keep', 'keep'])
  expect(agent.sync([dns(), endpoints([first])])).toBe(true)
  expect(agent.audit([clusterIp, external, nodePort, '8.8.8.8:30053', `${node}:53`])).toEqual([
    'end-lead',
    'end-lead',
    'end-lead',
    'keep',
    'keep',
  ])
})

test('of node ports on some addresses, and not on localhost', () => {
  const agent = new Agent()
  const objects = [dns(), endpoints([first])]
  const flows = [`${nodePort}>${one}`, `192.168.0.22:30053>${one}`, `127.0.0.1:30053>${one}`, '127.0.0.1:30053']
  agent.sync(objects)
  expect(agent.audit(flows)).toEqual(['keep', 'keep', 'keep', 'end-lead'])
  expect(agent.sync(objects, { localhostNodePorts: false })).toBe(true)
  expect(agent.audit(flows)).toEqual(['keep', 'keep', 'end-lead', 'keep'])
  expect(agent.sync(objects, { nodePortAddresses: 'primary' })).toBe(true)
  expect(agent.audit(flows)).toEqual(['keep', 'end-lead', 'end-lead', 'keep'])
})

const hints = { forZones: [{ name: 'zone-a' }] }
test.each([
  ['ends but serves', { conditions: { ready: false, serving: true, terminating: true } }, 'keep'],
  ['ends and serves no longer', { conditions: { ready: false, serving: false, terminating: true } }, 'end-lead'],
  ['is not ready', { conditions: { ready: false, serving: false } }, 'end-lead'],
  [
    'is used though it is not ready (publishNotReadyAddresses)',
    { conditions: { ready: true, serving: false } },
    'keep',
  ],
  ['is for another zone', { hints: { forZones: [{ name: 'zone-b' }] } }, 'keep'],
] as const)('an endpoint that %s', (_, changed, verdict) => {
  const agent = new Agent()
  const rows = (more: object) => [
    at('10.244.1.5', 'worker-1', { hints }),
    at('10.244.2.7', 'worker-2', { hints, ...more }),
  ]
  agent.sync([dns(), endpoints(rows({}))])
  agent.audit([])
  agent.sync([dns(), endpoints(rows(changed))])
  expect(agent.audit([`${clusterIp}>${two}`])).toEqual([verdict])
})

test('a targetPort that changes, a Service that becomes TCP', () => {
  const agent = new Agent()
  agent.sync([dns(), endpoints([first])])
  agent.audit([])
  agent.sync([dns(), endpoints([first], { ports: [{ ...dnsPort, port: 5354 }] })])
  expect(agent.audit([`${clusterIp}>${one}`, `${clusterIp}>10.244.1.5:5354`])).toEqual(['end-lead', 'keep'])
  const tcp = { ...dnsPort, protocol: 'TCP' }
  agent.sync([dns({ ports: [tcp] }), endpoints([first], { ports: [{ ...tcp, port: 5354 }] })])
  expect(agent.audit([`${clusterIp}>10.244.1.5:5354`])).toEqual(['end-lead'])
})

test('source ranges end single flows, those of clients that they leave out', () => {
  const agent = new Agent()
  const balanced = (...loadBalancerSourceRanges: string[]) => ({
    ...dns({ type: 'LoadBalancer', externalIPs: [], loadBalancerSourceRanges }),
    status: { loadBalancer: { ingress: [{ ip: '203.0.113.20' }] } },
  })
  agent.sync([balanced(), endpoints([first])])
  expect(agent.audit([`${external}>${one}`])).toEqual(['keep'])
  expect(agent.sync([balanced('192.168.0.10/32'), endpoints([first])])).toBe(true)
  expect(agent.sync([balanced('192.168.0.10/32', '10.0.0.0/8'), endpoints([first])])).toBe(true)
  expect(agent.audit([`${external}>${one}`, `${clusterIp}>${one}`, `${nodePort}>${one}`])).toEqual([
    'end-flow',
    'keep',
    'keep',
  ])
})

test('of two Services that claim one address, flows follow the one that has it', () => {
  const agent = new Agent()
  const [old, young] = [
    dns({ clusterIP: '10.254.0.11' }, { name: 'old', createdAt: 1 }),
    dns({}, { name: 'dns', createdAt: 2 }),
  ]
  const of = (name: string, row: object) => endpoints([row], { name: `${name}-1`, service: name })
  agent.sync([young, of('dns', first), old, of('old', second)])
  expect(agent.audit([`${external}>${one}`, `${external}>${two}`])).toEqual(['end-lead', 'keep'])
  agent.sync([young, of('dns', first)])
  expect(agent.audit([`${external}>${one}`, `${external}>${two}`])).toEqual(['keep', 'end-lead'])
})

test('TCP and SCTP notice by themselves, and changes of theirs cost no audit', () => {
  const agent = new Agent()
  const web = (name: string, protocol: string) =>
    service({ clusterIP: '10.254.0.99', ports: [{ name: 'http', port: 80, protocol }] }, { name })
  agent.sync([dns(), endpoints([first])])
  agent.audit([])
  expect(agent.sync([dns(), endpoints([first]), web('tcp', 'TCP')])).toBe(false)
  expect(agent.sync([dns(), endpoints([first]), web('sctp', 'SCTP')])).toBe(false)
  expect(agent.sync([dns(), endpoints([first, second])])).toBe(false)
  expect(new Agent().sync([web('tcp', 'TCP')])).toBe(true)
  expect(agent.rules.flows.isIdle).toBe(false)
  const other = new Agent()
  other.sync([web('tcp', 'TCP')])
  expect(other.rules.flows.isIdle).toBe(true)
})

test.each(['flat', 'tree'] as const)(
  'rules of layout %s tell the next agent what was withdrawn meanwhile',
  (layout) => {
    // Enough that both trees divide.
    const many = Array.from({ length: 100 }, (_, i) => [
      service(
        {
          type: 'NodePort',
          clusterIP: `10.254.1.${i}`,
          externalIPs: [`203.0.113.${100 + i}`],
          ports: [{ ...dnsPort, nodePort: 31_000 + i }],
        },
        { name: `s${i}` },
      ),
      endpoints([at(`10.244.3.${i}`, 'worker-1')], { name: `s${i}-1`, service: `s${i}` }),
    ]).flat()
    const before = new Agent()
    before.sync([dns(), endpoints([first]), ...many], { layout })
    const after = new Agent(before.chains)
    after.sync([dns(clusterIpAlone), endpoints([first]), ...many.slice(20)], { layout })
    const flows = Array.from({ length: 12 }, (_, i) => [
      `10.254.1.${i}:53>10.244.3.${i}:5353`,
      `203.0.113.${100 + i}:53>10.244.3.${i}:5353`,
      `${node}:${31_000 + i}>10.244.3.${i}:5353`,
    ]).flat()
    expect(after.audit([...flows, `${clusterIp}>${one}`, `${external}>${one}`, `${nodePort}>${one}`])).toEqual([
      ...flows.map((_, i) => (i < 30 ? 'end-lead' : 'keep')),
      'keep',
      'end-lead',
      'end-lead',
    ])
  },
)

test('what an earlier agent had withdrawn is remembered for the next', () => {
  const agent = new Agent()
  agent.sync([dns(), endpoints([first])])
  agent.audit([])
  expect(agent.rules.flows.withdrawn.places.size).toBe(0)
  agent.sync([dns(clusterIpAlone), endpoints([first])])
  const { withdrawn } = agent.rules.flows
  expect([...withdrawn.places].toSorted()).toEqual(['203.0.113.20 53', 'node 30053'])
  const next = new Agent()
  next.rules.flows.restore(withdrawn)
  next.sync([dns(clusterIpAlone), endpoints([first])])
  expect(next.audit([`${clusterIp}>${one}`, `${external}>${one}`])).toEqual(['keep', 'end-lead'])
  expect(next.rules.flows.withdrawn.places.size).toBe(0)
})

test('laws: what kube-proxy deletes ends, what no Service led is kept', () => {
  const hosts = ['10.244.1.5', '10.244.1.6', '10.244.2.7']
  const state = fc.record({
    frontends: fc.subarray(['cluster', 'external', 'node']),
    targetPort: fc.constantFrom(5353, 5354),
    serving: fc.subarray(hosts),
    ready: fc.subarray(hosts),
  })
  const objectsOf = ({
    frontends,
    targetPort,
    serving,
    ready,
  }: typeof state extends fc.Arbitrary<infer T> ? T : never) => [
    dns({
      type: frontends.includes('node') ? 'NodePort' : 'ClusterIP',
      externalIPs: frontends.includes('external') ? ['203.0.113.20'] : [],
      ports: [{ ...dnsPort, nodePort: frontends.includes('node') ? dnsPort.nodePort : 0 }],
    }),
    endpoints(
      hosts
        .filter((host) => serving.includes(host))
        .map((host) =>
          at(host, 'worker-1', { conditions: { ready: ready.includes(host), serving: true, terminating: true } }),
        ),
      { ports: [{ ...dnsPort, port: targetPort }] },
    ),
  ]
  const flows = [clusterIp, external, nodePort].flatMap((to) => [
    to,
    ...hosts.flatMap((host) => [`${to}>${host}:5353`, `${to}>${host}:5354`]),
  ])
  const others = [
    ...hosts.map((host) => `${host}:5353`),
    '8.8.8.8:30053',
    `${node}:53`,
    `${node}:5353>10.244.1.5:5353`,
    `${nodePort}>172.17.0.2:53`,
  ]
  fc.assert(
    fc.property(fc.array(state, { minLength: 1, maxLength: 4 }), (states) => {
      const agent = new Agent()
      for (const each of states) {
        agent.sync(objectsOf(each))
        // kube-proxy: at a frontend of a Service that has an endpoint which serves, all flows that lead to none of these.
        const isFrontend = (text: string): boolean =>
          (text.startsWith(clusterIp) ||
            (text.startsWith(external) && each.frontends.includes('external')) ||
            (text.startsWith(nodePort) && each.frontends.includes('node'))) &&
          each.serving.length > 0
        const leadsToServing = (text: string): boolean =>
          each.serving.some((host) => text.endsWith(`>${host}:${each.targetPort}`))
        const verdicts = agent.audit([...flows, ...others])
        const judged = flows.map((text, i) => [text, verdicts[i]]).filter(([text]) => isFrontend(String(text)))
        expect(judged).toEqual(judged.map(([text]) => [text, leadsToServing(String(text)) ? 'keep' : 'end-lead']))
        const kept = verdicts.slice(flows.length, -1)
        expect(kept).toEqual(kept.map(() => 'keep'))
        // Of a stranger at a node port: kube-proxy's rules come first, as ours do.
        expect(verdicts.at(-1)).toBe(isFrontend(nodePort) ? 'end-lead' : 'keep')
      }
    }),
    { numRuns: 200 },
  )
})
