import { expect, test } from 'vitest'
import type { ClusterNode } from '../cluster/node.ts'
import { projectEndpointSlice } from '../cluster/project-endpoint-slice.ts'
import { projectNode } from '../cluster/project-node.ts'
import type { ProtectedPorts } from '../cluster/protected-ports.ts'
import { parseAddress } from '../net/address.ts'
import { endsOf } from './api-server-places.ts'
import { loadConfig } from './config.ts'
import { apiServersIn, protectedPorts } from './protected-ports.ts'

const fail = (sentence: string): never => {
  throw new Error(sentence)
}

function node(name: string, addresses: readonly string[], kubeletPort?: number): ClusterNode {
  const status = {
    addresses: addresses.map((address) => ({ type: 'InternalIP', address })),
    ...(kubeletPort === undefined ? {} : { daemonEndpoints: { kubeletEndpoint: { Port: kubeletPort } } }),
  }
  return projectNode({ metadata: { name }, status }, fail)[1]
}

const nodes = [node('n1', ['192.168.0.21', 'fd00::21']), node('n2', ['192.168.0.22'], 10_260)]

function needed(flags: Record<string, unknown> = {}, local: readonly string[] = ['127.0.0.1']): ProtectedPorts {
  const config = loadConfig({ file: undefined, flags: { nodeName: 'n1', ...flags }, environment: {} })
  const servers = [
    { address: parseAddress('192.168.0.10'), port: 6443 },
    { address: parseAddress('fd00::10'), port: 443 },
  ]
  return protectedPorts({ config, nodes, servers, localAddresses: new Set(local) })
}

/** "ADDRESS PORT/PROTOCOL", or "PORT/PROTOCOL" for all addresses of the node. */
function by(ports: ProtectedPorts, text: string): string | undefined {
  const [, address, port, protocol] = /^(?:(\S+) )?(\d+)\/(tcp|udp)$/.exec(text) ?? fail(text)
  return ports.neededBy(address === undefined ? undefined : parseAddress(address), protocol as 'tcp', Number(port))
}

test.each([
  ['192.168.0.10 6443/tcp', 'the API server'],
  ['fd00::10 443/tcp', 'the API server'],
  ['192.168.0.21 6443/tcp', undefined],
  ['192.168.0.10 443/tcp', undefined],
  // It is no address of this node: ingress controllers have host port 443.
  ['443/tcp', undefined],
  ['6443/tcp', undefined],
  ['192.168.0.21 8472/udp', 'the VXLAN of the nodes'],
  ['192.168.0.22 8472/udp', 'the VXLAN of the nodes'],
  ['fd00::21 8472/udp', 'the VXLAN of the nodes'],
  ['8472/udp', 'the VXLAN of the nodes'],
  ['8472/tcp', undefined],
  ['192.168.0.10 8472/udp', undefined],
  ['192.168.0.21 10250/tcp', 'the kubelet'],
  ['127.0.0.1 10250/tcp', 'the kubelet'],
  ['10250/tcp', 'the kubelet'],
  ['192.168.0.22 10250/tcp', undefined],
  ['192.168.0.22 10260/tcp', 'the kubelet'],
  // Another node's kubelet.
  ['10260/tcp', undefined],
  ['192.168.0.22 10256/tcp', "the agent's health endpoint"],
  ['::1 10256/tcp', "the agent's health endpoint"],
  ['10256/tcp', "the agent's health endpoint"],
  // It listens on 127.0.0.1 alone.
  ['127.0.0.1 10249/tcp', "the agent's metrics endpoint"],
  ['10249/tcp', "the agent's metrics endpoint"],
  ['192.168.0.21 10249/tcp', undefined],
  ['80/tcp', undefined],
])('by default %s is needed by: %s', (place, who) => {
  expect(by(needed(), place)).toBe(who)
})

test.each([
  ['another VXLAN port', { vxlanPort: 4789 }, ['4789/udp'], ['8472/udp', '192.168.0.22 8472/udp']],
  ['direct routes', { overlay: 'direct' }, [], ['8472/udp', '192.168.0.22 8472/udp']],
  ["another CNI plugin's pod network", { podNetwork: false }, ['10256/tcp'], ['8472/udp']],
  [
    'an address of health checks',
    { healthAddress: '192.168.0.21:20256' },
    ['192.168.0.21 20256/tcp', '20256/tcp'],
    ['10256/tcp', '192.168.0.22 20256/tcp'],
  ],
  [
    'metrics on all addresses',
    { metricsAddress: '[::]:9100' },
    ['192.168.0.22 9100/tcp', '::1 9100/tcp'],
    ['10249/tcp'],
  ],
  ['protectNodeTraffic: false', { protectNodeTraffic: false }, [], ['192.168.0.10 6443/tcp', '8472/udp', '10256/tcp']],
])('follows the configuration: %s', (_, flags, held, free) => {
  const ports = needed(flags)
  expect(held.map((place) => by(ports, place))).not.toContain(undefined)
  expect(free.map((place) => by(ports, place))).toEqual(free.map(() => undefined))
})

test('where the API server is on an address of this node, its port is taken on all of them', () => {
  const ports = needed({}, ['127.0.0.1', '192.168.0.10'])
  expect(['6443/tcp', '443/tcp'].map((place) => by(ports, place))).toEqual(['the API server', undefined])
})

test('the API servers are those of default/kubernetes and of the URLs whose hosts are addresses', () => {
  const slice = (namespace: string, service: string) =>
    projectEndpointSlice(
      {
        metadata: { namespace, name: 's', labels: { 'kubernetes.io/service-name': service } },
        addressType: 'IPv4',
        ports: [
          { name: 'https', port: 6443, protocol: 'TCP' },
          { name: 'quic', port: 6444, protocol: 'UDP' },
        ],
        endpoints: [{ addresses: ['192.168.0.10'] }, { addresses: ['192.168.0.11'] }],
      },
      fail,
    )![1]
  expect(apiServersIn([slice('default', 'kubernetes'), slice('other', 'kubernetes'), slice('default', 'web')])).toEqual(
    [
      { address: '192.168.0.10', port: 6443 },
      { address: '192.168.0.11', port: 6443 },
    ],
  )
  expect(endsOf(['https://192.168.0.10:6443/', 'https://[fd00::1]', 'http://proxy', 'nonsense'])).toEqual([
    { host: '192.168.0.10', port: 6443 },
    { host: 'fd00::1', port: 443 },
    { host: 'proxy', port: 80 },
  ])
})
