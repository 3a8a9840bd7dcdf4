// One ADD from end to end, for the tests on both sides of the socket: what a runtime gives the CNI binary, the very
// bytes the binary sends, and what they mean.
import { parseAddress } from '../../net/address.ts'
import { parseInterfaceName } from '../../net/interface-name.ts'
import type { AddRequest } from './cni-request.ts'

/** As containerd 2.x sets it, behind the variables of its own. */
export const goldenEnvironment = (netns: string): Record<string, string> => ({
  PATH: '/usr/bin',
  CNI_COMMAND: 'ADD',
  CNI_CONTAINERID: '8f1c2d3e4f5061728394a5b6c7d8e9f00112233445566778899aabbccddeeff0',
  CNI_NETNS: netns,
  CNI_IFNAME: 'eth0',
  CNI_ARGS:
    'K8S_POD_UID=6c3f9a60-0d0e-4a5b-9a70-0f5d8ce0a001;IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-7d9c5b-x2x4q;K8S_POD_INFRA_CONTAINER_ID=8f1c2d3e',
  CNI_PATH: '/opt/cni/bin',
})

/** With containerd's capitalised keys and Go's zero values. */
export const goldenConf =
  '{"capabilities":{"bandwidth":true,"portMappings":true},"cniVersion":"1.1.0","name":"fairlead",' +
  '"runtimeConfig":{"bandwidth":{"IngressRate":10000000,"IngressBurst":4294967295,"EgressRate":0,"EgressBurst":0},' +
  '"portMappings":[{"HostPort":8080,"ContainerPort":80,"Protocol":"tcp","HostIP":""},{"HostPort":53,"ContainerPort":5353,"Protocol":"udp","HostIP":"192.168.0.21"}]},"type":"fairlead-cni"}'

export function goldenBody(netns: string, netnsId: string): string {
  const { PATH: _, ...variables } = goldenEnvironment(netns)
  return `${Object.entries(variables)
    .map(([name, value]) => `${name}=${value}\0`)
    .join('')}FAIRLEAD_NETNS_ID=${netnsId}\0\0${goldenConf}`
}

/** The whole request on the socket. */
export function goldenBytes(netns: string, netnsId: string): string {
  const body = goldenBody(netns, netnsId)
  return `POST /cni HTTP/1.1\r\nHost: fairlead\r\nContent-Type: application/octet-stream\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`
}

export const goldenMeaning = (netns: string, netnsId: string): AddRequest => ({
  command: 'ADD',
  version: '1.1.0',
  network: 'fairlead',
  containerId: '8f1c2d3e4f5061728394a5b6c7d8e9f00112233445566778899aabbccddeeff0',
  podInterface: parseInterfaceName('eth0'),
  netns,
  netnsId,
  pod: { namespace: 'shop', name: 'web-7d9c5b-x2x4q', uid: '6c3f9a60-0d0e-4a5b-9a70-0f5d8ce0a001' },
  portMappings: [
    { hostPort: 8080, containerPort: 80, protocol: 'tcp', hostAddress: undefined },
    { hostPort: 53, containerPort: 5353, protocol: 'udp', hostAddress: parseAddress('192.168.0.21') },
  ],
  bandwidth: { ingress: { rateBits: 10_000_000, burstBits: 4_294_967_295 }, egress: undefined },
  prevResult: undefined,
})
