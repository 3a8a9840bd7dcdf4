import { expect, test } from 'vitest'
import { ourGroup } from '../kernel/kernel.ts'
import type { Link } from '../kernel/observed.ts'
import { parseAddress } from '../net/address.ts'
import { parseCidr } from '../net/cidr.ts'
import { macOf } from '../net/mac.ts'
import type { PortMapping } from './attachment.ts'
import type { CachedAdd } from './cni/result-cache.ts'
import { rebuild, type Traces } from './rebuilt-attachment.ts'
import { resultOf } from './result.ts'
import { scratchAttachment } from './scratch-attachment.ts'
import { aliasOf } from './veth-alias.ts'

const pod = { namespace: 'shop', name: 'web-0', uid: 'u1' }
const lost = { ...scratchAttachment('c1'), netnsId: '4:77', pod }
const dual = {
  ...lost,
  addresses: [...lost.addresses, parseAddress('fd00:1::5')],
  podCidrs: [...lost.podCidrs, parseCidr('fd00:1::/64')],
}
const plain: Link = {
  index: 7,
  name: lost.hostInterface,
  mac: undefined,
  mtu: 1450,
  up: true,
  carrier: true,
  group: ourGroup,
  alias: aliasOf(lost),
  type: 'veth',
  master: 'cni0',
  peer: { index: 2, namespace: 0 },
  hairpin: true,
  vxlan: undefined,
  addresses: [],
}
const addressOf = (text: string, prefix: number, scope = 'global') => ({ address: parseAddress(text), prefix, scope })
const eth0 = (...addresses: Link['addresses']): Link => ({ ...plain, name: 'eth0', mac: lost.podMac, addresses })
const traces: Traces = {
  host: plain,
  netns: lost.netns,
  netnsId: lost.netnsId,
  peer: eth0(addressOf('fe80::1', 64, 'link'), addressOf('10.244.1.5', 24)),
  cached: undefined,
  podCidrs: lost.podCidrs,
  portsOf: () => [],
}
const cached: CachedAdd = {
  network: 'fairlead',
  containerId: 'c1',
  podInterface: lost.podInterface,
  netns: lost.netns,
  pod,
  portMappings: [],
  bandwidth: { ingress: { rateBits: 1, burstBits: 8 }, egress: undefined },
  result: resultOf(lost),
  chained: false,
}

test('the alias and what the namespace holds give back all that the record said', () => {
  expect(rebuild(traces)).toEqual({ kind: 'rebuilt', attachment: lost })
  const both = eth0(addressOf('10.244.1.5', 24), addressOf('fd00:1::5', 64))
  expect(rebuild({ ...traces, peer: both })).toEqual({ kind: 'rebuilt', attachment: dual })
})

test('without an alias everything but the names is known', () => {
  expect(rebuild({ ...traces, host: { ...plain, alias: undefined } })).toMatchObject({
    kind: 'rebuilt',
    attachment: { ...lost, network: undefined, containerId: undefined, pod: undefined },
  })
})

test('what the runtime cached counts before what the namespace holds, which the pod may have changed', () => {
  const changed = eth0(addressOf('10.9.9.9', 16))
  const expected = { kind: 'rebuilt', attachment: { ...lost, bandwidth: cached.bandwidth } }
  expect(rebuild({ ...traces, peer: changed, cached })).toEqual(expected)
  expect(rebuild({ ...traces, peer: undefined, cached })).toEqual(expected)
  expect(rebuild({ ...traces, peer: eth0(), cached })).toEqual(expected)
})

test('of several addresses the one that gave the interface its MAC is ours', () => {
  const several = eth0(addressOf('10.244.1.200', 24), addressOf('10.244.1.5', 24))
  expect(rebuild({ ...traces, peer: several })).toMatchObject({ attachment: { addresses: ['10.244.1.5'] } })
  const renamed = { ...several, mac: macOf('pod', parseAddress('10.244.1.9')) }
  expect(rebuild({ ...traces, peer: renamed })).toMatchObject({ attachment: { addresses: ['10.244.1.200'] } })
})

test('a pod that holds its address alone has the podCIDR that the node has had', () => {
  const alone = eth0(addressOf('10.244.1.5', 32))
  expect(rebuild({ ...traces, peer: alone })).toEqual({ kind: 'rebuilt', attachment: { ...lost, routed: true } })
  expect(rebuild({ ...traces, peer: alone, podCidrs: [parseCidr('10.9.0.0/16')] })).toEqual({
    kind: 'unknown',
    why: 'no podCIDR of this node has its address 10.244.1.5',
  })
})

test('host ports are read from the rules where nothing is cached, each once for both families', () => {
  const port: PortMapping = { hostPort: 8080, containerPort: 80, protocol: 'tcp', hostAddress: undefined }
  const peer = eth0(addressOf('10.244.1.5', 24), addressOf('fd00:1::5', 64))
  expect(rebuild({ ...traces, peer, portsOf: () => [port] })).toMatchObject({ attachment: { portMappings: [port] } })
  expect(rebuild({ ...traces, cached, portsOf: () => [port] })).toMatchObject({ attachment: { portMappings: [] } })
})

test.each([
  ['without an address', { peer: eth0() }],
  ['with a link-local address alone', { peer: eth0(addressOf('fe80::1', 64, 'link')) }],
  ['with both ends in the namespace of the node', { host: { ...plain, peer: undefined } }],
])('a veth %s is an unfinished ADD', (_, difference) => {
  expect(rebuild({ ...traces, ...difference })).toEqual({ kind: 'half-made' })
})

test.each([
  ['whose namespace cannot be found', { netns: undefined, netnsId: undefined, peer: undefined }],
  ['whose namespace cannot be entered', { peer: undefined }],
])('a veth %s may be of a running pod', (_, difference) => {
  expect(rebuild({ ...traces, ...difference })).toMatchObject({ kind: 'unknown' })
})
