import { expect, test } from 'vitest'
import { routeChanges } from '../route-announcer.ts'
import type { SliceView } from './endpoint-slice-view.ts'
import { loadBalancerRoutes } from './load-balancer-routes.ts'
import { nodeView, serviceView } from '../../../test/support/controller-views.ts'

const nodes = new Map(
  [
    nodeView('n2', { address: '10.0.0.2' }),
    nodeView('n1', { address: '10.0.0.1' }),
    nodeView('n3', { address: '10.0.0.3', ready: false }),
  ].map((node) => [node.name, node]),
)
const slice = (conditions: { ready: boolean }): SliceView => ({
  namespace: 'default',
  name: 'web-1',
  resourceVersion: '1',
  labels: { 'kubernetes.io/service-name': 'web' },
  serviceUid: 'web-uid',
  addressType: 'IPv4',
  ports: [],
  endpoints: [
    {
      addresses: ['172.30.0.2'],
      conditions: { serving: true, terminating: false, ...conditions },
      targetRef: { kind: 'Pod', namespace: 'default', name: 'a', uid: 'a' },
      nodeName: 'n2',
    },
  ],
})
const routes = (fields: Parameters<typeof serviceView>[1], ready = true) =>
  loadBalancerRoutes(
    new Map([
      [
        'default/web',
        serviceView('web', { type: 'LoadBalancer', loadBalancerAddresses: ['192.168.0.200'], ...fields }),
      ],
    ]),
    nodes,
    new Map([['default/web-1', slice({ ready })]]),
  )

test('announces an address by every ready node, and with policy Local by those with a ready endpoint', () => {
  expect(routes({})).toEqual(new Map([['192.168.0.200', ['10.0.0.1', '10.0.0.2']]]))
  expect(routes({ externalLocal: true })).toEqual(new Map([['192.168.0.200', ['10.0.0.2']]]))
  expect(routes({ externalLocal: true }, false)).toEqual(new Map([['192.168.0.200', []]]))
  expect(routes({ type: 'NodePort' })).toEqual(new Map())
})

test('writes only changed routes, and removes those that no node announces', () => {
  const before = new Map([
    ['a', ['1']],
    ['b', ['1', '2']],
    ['c', ['1']],
  ])
  const after = new Map([
    ['a', ['1']],
    ['b', ['2']],
    ['c', []],
    ['d', []],
  ])
  expect(routeChanges(before, after)).toEqual(['route flush exact c/32', 'route replace b/32 nexthop via 2 dev eth0'])
})
