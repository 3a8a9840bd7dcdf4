import { expect, test } from 'vitest'
import { parseAddress } from '../net/address.ts'
import { endpointsOf } from './endpoints.ts'
import { flatEndpoints } from './flat-layout.ts'
import { renderServicePort } from './render-service-port.ts'
import type { Frontend, RenderedPort } from './rendered.ts'
import { at, service, slice, snapshotOf } from './scenarios.ts'
import type { ServicePort } from './service-port.ts'
import { servicePortsOf } from './service-ports.ts'
import { UdpFlows } from './udp-flows.ts'

const dns = parseAddress('10.96.0.10')

function port(
  id: string,
  targets: readonly string[],
  options: { protocol?: 'tcp' | 'udp'; nodePort?: number } = {},
): RenderedPort {
  const { protocol = 'udp', nodePort } = options
  const owner = { id, protocol } as ServicePort
  const shared = { protocol, owner, rule: '' }
  const frontends: Frontend[] =
    targets.length === 0
      ? []
      : [
          { kind: 'cluster-ip', address: dns, port: 53, ...shared },
          ...(nodePort === undefined
            ? []
            : [{ kind: 'node-port' as const, address: undefined, port: nodePort, ...shared }]),
        ]
  return { port: owner, frontends, filter: [], chains: new Map(), serving: targets }
}

function flowsOf(...steps: readonly (readonly [readonly RenderedPort[], readonly RenderedPort[]])[]): UdpFlows {
  const flows = new UdpFlows()
  for (const [before, after] of steps) {
    flows.take()
    flows.change(before, after)
  }
  return flows
}

test('one deletion for an address that is gone, whatever its ports', () => {
  const [a, b] = [port('a', ['10.244.1.5:53', '10.244.1.6:53']), port('b', ['10.244.1.5:5353'])]
  expect(
    flowsOf(
      [[], [a, b]],
      [
        [a, b],
        [port('a', ['10.244.1.6:53']), port('b', [])],
      ],
    ).take(),
  ).toEqual([{ endpoint: '10.244.1.5' }])
})

test('a Service that loses its last endpoint is no exception', () => {
  const a = port('a', ['10.244.1.5:53'])
  expect(flowsOf([[], [a]], [[a], [port('a', [])]]).take()).toEqual([{ endpoint: '10.244.1.5' }])
})

test('flows of a port or a Service that still uses the endpoint live on', () => {
  const [a, b, other] = [
    port('a', ['10.244.1.5:53'], { nodePort: 30_053 }),
    port('b', ['10.244.1.5:53']),
    port('c', ['10.244.1.5:99']),
  ]
  expect(flowsOf([[], [a, other]], [[a], [port('a', ['10.244.1.9:53'])]]).take()).toEqual([
    { endpoint: '10.244.1.5', endpointPort: 53 },
  ])
  expect(flowsOf([[], [a, b]], [[a], [port('a', ['10.244.1.9:53'])]]).take()).toEqual([
    { destination: dns, port: 53, endpoint: '10.244.1.5', endpointPort: 53 },
    { port: 30_053, endpoint: '10.244.1.5', endpointPort: 53 },
  ])
})

test('where somebody answers for the first time, flows that went past are forgotten', () => {
  const before = port('a', [])
  expect(flowsOf([[], [before]], [[before], [port('a', ['10.244.1.5:53'], { nodePort: 30_053 })]]).take()).toEqual([
    { destination: dns, port: 53, endpoint: dns },
    { port: 30_053, endpointPort: 30_053 },
  ])
})

const dnsPort = { ports: [{ name: 'dns', port: 53, protocol: 'UDP' }] }
/** Two endpoints, of which the second is what its row says. */
function renderedWith(second: object): RenderedPort[] {
  const hints = { forZones: [{ name: 'zone-a' }] }
  const objects = [
    service(dnsPort),
    slice([at('10.244.1.5', 'worker-1', { hints }), at('10.244.2.7', 'worker-2', { hints, ...second })], dnsPort),
  ]
  const { services, slices, options, node } = snapshotOf({ objects })
  const ports = [...services].flatMap((each) => servicePortsOf(each, 4))
  return ports.map((each) =>
    renderServicePort(each, endpointsOf(each, slices, node.name), {
      options,
      node,
      largeCluster: false,
      endpointLayout: flatEndpoints,
    }),
  )
}
const gone = [{ endpoint: '10.244.2.7' }]

test.each([
  ['ends but serves', { conditions: { ready: false, serving: true, terminating: true } }, []],
  ['ends and serves no longer', { conditions: { ready: false, serving: false, terminating: true } }, gone],
  ['is not ready', { conditions: { ready: false, serving: false } }, gone],
  ['is used though it is not ready (publishNotReadyAddresses)', { conditions: { ready: true, serving: false } }, []],
  ['is for another zone', { hints: { forZones: [{ name: 'zone-b' }] } }, []],
])('an endpoint that %s', (_, second, forgotten) => {
  const before = renderedWith({})
  expect(flowsOf([[], before], [before, renderedWith(second)]).take()).toEqual(forgotten)
})

test('TCP notices by itself', () => {
  const a = port('a', ['10.244.1.5:53'], { protocol: 'tcp' })
  expect(flowsOf([[], [a]], [[a], []]).take()).toEqual([])
})

test('chains left over from before a restart tell which endpoints went meanwhile', () => {
  const a = port('a', ['10.244.1.6:53'])
  const flows = flowsOf([[], [a]], [[a], [a]])
  const left = (target: string, protocol: string) => [
    `-p ${protocol} -m ${protocol} -j DNAT --to-destination ${target}`,
  ]
  flows.adopt(
    new Map([
      ['KUBE-SEP-A', left('10.244.1.5:53', 'udp')],
      ['KUBE-SEP-B', left('10.244.1.7:80', 'tcp')],
      ['KUBE-SEP-C', left('10.244.1.6:53', 'udp')],
      ['KUBE-SVC-A', ['-j KUBE-SEP-A']],
      ['KUBE-SEP-D', left('[fd00::5]:53', 'udp')],
    ]),
  )
  expect(flows.take()).toEqual([{ endpoint: '10.244.1.5' }, { endpoint: 'fd00::5' }])
})
