import { expect, test } from 'vitest'
import { ourGroup } from '../../kernel/kernel.ts'
import type { Link, Route } from '../../kernel/observed.ts'
import { parseAddress } from '../../net/address.ts'
import { parseCidr } from '../../net/cidr.ts'
import { parseInterfaceName } from '../../net/interface-name.ts'
import { parseMac } from '../../net/mac.ts'
import { scratchAttachment } from '../scratch-attachment.ts'
import { desiredBridge } from './desired.ts'
import { diffReach, type ObservedReach } from './reach.ts'

const pod = scratchAttachment('c1')
const podCidrs = [parseCidr('10.244.1.0/24'), parseCidr('fd00:1::/64')]
const bridge = parseInterfaceName('cni0')
const desired = desiredBridge({ bridge, mtu: 1450, podCidrs, localhostHostPorts: false }, [pod])
const link: Link = {
  index: 1,
  name: bridge,
  mac: undefined,
  mtu: 1450,
  up: true,
  carrier: true,
  group: ourGroup,
  alias: undefined,
  type: 'bridge',
  master: undefined,
  peer: undefined,
  hairpin: undefined,
  vxlan: undefined,
  addresses: [
    { address: parseAddress('10.244.1.1'), prefix: 24, scope: 'global' },
    { address: parseAddress('fd00:1::1'), prefix: 64, scope: 'global' },
  ],
}
const routes = podCidrs.map((destination): Route => ({
  family: destination.family,
  destination,
  gateway: undefined,
  device: bridge,
  source: undefined,
  protocol: 2,
  onlink: false,
  scope: 'link',
}))
const fixed = (address: string, mac = '02:00:00:00:00:01') => ({
  address: parseAddress(address),
  mac: parseMac(mac),
  device: bridge,
})
const linesOf = (observed: Partial<ObservedReach>, cidrs = podCidrs): string[] =>
  diffReach(desired, { bridge: link, routes, fixedNeighbours: [], ...observed }, cidrs).map(({ line }) => line)

test('what is as the kernel makes it is left alone, as is a fixed neighbour that is right', () => {
  expect(linesOf({ fixedNeighbours: [fixed('10.244.1.5', pod.podMac), fixed('ff02::16')] })).toEqual([])
})

test("a pod's neighbour that is wrong for good becomes right and is asked again; one of no pod is forgotten", () => {
  expect(linesOf({ fixedNeighbours: [fixed('10.244.1.5'), fixed('10.244.1.9'), fixed('192.168.7.7')] })).toEqual([
    `neigh replace 10.244.1.5 lladdr ${pod.podMac} dev cni0 nud stale`,
    'neigh replace 10.244.1.9 dev cni0 nud failed',
  ])
  // On a bridge that is shared, another network may have a pod there.
  expect(linesOf({ fixedNeighbours: [fixed('10.244.1.9')] }, [])).toEqual([])
})

test('the route to the pods comes back in both families, unless their address or the device has to come first', () => {
  expect(linesOf({ routes: [] })).toEqual([
    'route replace 10.244.1.0/24 dev cni0 proto kernel scope link src 10.244.1.1',
    'route replace fd00:1::/64 dev cni0 proto kernel metric 256',
  ])
  expect(linesOf({ routes: [], bridge: { ...link, up: false } })).toEqual([])
  expect(linesOf({ routes: [], bridge: { ...link, addresses: [] } })).toEqual([])
  expect(linesOf({ routes: [], bridge: undefined })).toEqual([])
})
