import { expect, test } from 'vitest'
import { parseAddress } from '../../net/address.ts'
import type { Endpoint } from '../endpoint.ts'
import type { ServicePort } from '../service-port.ts'
import { localGaps } from './local-gaps.ts'

const port: ServicePort = {
  id: 'ns/web',
  family: 4,
  namespace: 'ns',
  name: 'web',
  portName: '',
  protocol: 'tcp',
  clusterIp: parseAddress('10.0.0.1'),
  port: 80,
  nodePort: 30_080,
  externalIps: [],
  loadBalancerIps: [],
  sourceRanges: [],
  internalLocal: false,
  externalLocal: true,
  healthCheckNodePort: 0,
  affinitySeconds: undefined,
  createdAt: 0,
  uid: 'u',
}
const far: Endpoint = {
  address: parseAddress('10.1.0.1'),
  port: 8080,
  ready: true,
  serving: true,
  terminating: false,
  local: false,
  zoneHints: [],
  nodeHints: [],
}

test.each<[string, Partial<ServicePort>, Partial<Endpoint>[], number, number]>([
  ['an endpoint elsewhere', {}, [{}], 0, 1],
  ['both policies', { internalLocal: true }, [{}], 1, 1],
  ['an endpoint here', {}, [{}, { local: true }], 0, 0],
  ['one here that is ending', {}, [{}, { local: true, ready: false, terminating: true }], 0, 0],
  ['one here that cannot serve', {}, [{}, { local: true, ready: false, serving: false }], 0, 1],
  ['no endpoint anywhere', {}, [], 0, 0],
  ['no way in from outside yet, as kube-proxy counts it', { nodePort: 0 }, [{}, { local: true }], 0, 1],
  [
    'no way in from outside yet, and one here for the ClusterIP',
    { nodePort: 0, internalLocal: true },
    [{}, { local: true }],
    0,
    0,
  ],
  ['the other family', { family: 6 }, [{}], 0, 0],
])('%s', (_, said, endpoints, internal, external) => {
  expect(
    localGaps(4, [{ port: { ...port, ...said }, endpoints: endpoints.map((each) => ({ ...far, ...each })) }]),
  ).toEqual({ family: 4, internal, external })
})
