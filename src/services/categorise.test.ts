import fc from 'fast-check'
import { expect, test } from 'vitest'
import { projectService } from '../cluster/project-service.ts'
import { parseAddress } from '../net/address.ts'
import { categorise } from './categorise.ts'
import type { Endpoint } from './endpoint.ts'
import { exposed } from './scenarios.ts'
import type { ServicePort } from './service-port.ts'
import { servicePortsOf } from './service-ports.ts'

const here = { name: 'worker-1', zone: 'zone-a' }
const plain: Omit<Endpoint, 'address'> = {
  port: 80,
  ready: true,
  serving: true,
  terminating: false,
  local: false,
  zoneHints: [],
  nodeHints: [],
}

function endpoint(host: number, rest: Partial<Endpoint> = {}): Endpoint {
  return { ...plain, address: parseAddress(`10.244.2.${host}`), ...rest }
}

function portWith(spec: Record<string, unknown>): ServicePort {
  const [, service] = projectService(exposed(spec), () => undefined)!
  return servicePortsOf(service, 4)[0]!
}

const port = portWith({})

test.each([
  [[{ zoneHints: ['zone-a'] }, { zoneHints: ['zone-b'] }], here, 'same-zone', undefined, [1]],
  [[{ zoneHints: ['zone-a'] }, {}], here, 'everywhere', 'not every ready endpoint has a hint for zones', [1, 2]],
  [[{ zoneHints: ['zone-c'] }, { zoneHints: ['zone-b'] }], here, 'everywhere', 'no hint names zone zone-a', [1, 2]],
  [
    [{ zoneHints: ['zone-a'] }],
    { name: 'worker-1', zone: undefined },
    'everywhere',
    'node worker-1 has no label topology.kubernetes.io/zone',
    [1],
  ],
  [
    [
      { nodeHints: ['worker-1'], zoneHints: ['zone-b'] },
      { nodeHints: ['worker-2'], zoneHints: ['zone-a'] },
    ],
    here,
    'same-node',
    undefined,
    [1],
  ],
  [
    [
      { nodeHints: ['worker-3'], zoneHints: ['zone-a'] },
      { nodeHints: ['worker-2'], zoneHints: ['zone-b'] },
    ],
    here,
    'same-zone',
    'no hint names node worker-1',
    [1],
  ],
  [[{ nodeHints: ['worker-1'] }, {}], here, 'everywhere', 'not every ready endpoint has a hint for nodes', [1, 2]],
  // An endpoint that is not ready has no say.
  [[{ zoneHints: ['zone-a'] }, { zoneHints: ['zone-b'] }, { ready: false }], here, 'same-zone', undefined, [1]],
  [[{}, {}], here, 'everywhere', undefined, [1, 2]],
] as const)('hints %j on %j: %s', (hints, node, mode, ignored, chosen) => {
  const { topology, cluster } = categorise(
    port,
    hints.map((hint, i) => endpoint(i + 1, hint)),
    node,
  )
  expect(topology).toEqual({ mode, ignored })
  expect(cluster.map(({ address }) => address)).toEqual(chosen.map((host) => `10.244.2.${host}`))
})

test('what drains serves only where nothing ready is left, on this node and elsewhere each for itself', () => {
  const draining = { ready: false, terminating: true }
  const endpoints = [
    endpoint(1, { ...draining, local: true }),
    endpoint(2),
    endpoint(3, { ...draining, serving: false }),
  ]
  const { cluster, local, reachable } = categorise(portWith({ externalTrafficPolicy: 'Local' }), endpoints, here)
  expect([cluster, local, reachable].map((chosen) => chosen.map(({ address }) => address))).toEqual([
    ['10.244.2.2'],
    ['10.244.2.1'],
    ['10.244.2.1', '10.244.2.2'],
  ])
})

test('laws: somebody is chosen where somebody could serve, nobody who could not, and local ones are local', () => {
  const names = fc.subarray(['zone-a', 'zone-b', 'worker-1', 'worker-2'])
  const some = fc.array(
    fc.record({
      ready: fc.boolean(),
      serving: fc.boolean(),
      terminating: fc.boolean(),
      local: fc.boolean(),
      zoneHints: names,
      nodeHints: names,
    }),
    { maxLength: 6 },
  )
  const policies = fc.record({
    internalTrafficPolicy: fc.constantFrom('Cluster', 'Local'),
    externalTrafficPolicy: fc.constantFrom('Cluster', 'Local'),
  })
  fc.assert(
    fc.property(some, policies, (kinds, spec) => {
      const endpoints = kinds.map((kind, i) => endpoint(i + 1, kind))
      const { cluster, local, reachable, exists } = categorise(portWith(spec), endpoints, here)
      const can = ({ ready, serving, terminating }: Endpoint) => ready || (serving && terminating)
      expect(exists).toBe(endpoints.some(can))
      // It has external addresses, so some traffic may go anywhere.
      expect(cluster.length > 0).toBe(exists)
      expect(reachable.every(can) && local.every((each) => each.local)).toBe(true)
      expect(local.length > 0).toBe(
        (spec.internalTrafficPolicy === 'Local' || spec.externalTrafficPolicy === 'Local') &&
          endpoints.some((each) => each.local && can(each)),
      )
      expect(new Set(reachable)).toEqual(new Set([...cluster, ...local]))
    }),
  )
})
