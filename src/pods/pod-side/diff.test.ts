import { expect, test } from 'vitest'
import type { Link, NamespaceState, Route } from '../../kernel/observed.ts'
import { type Address, parseAddress } from '../../net/address.ts'
import { type Cidr, parseCidr } from '../../net/cidr.ts'
import { macOf, parseMac } from '../../net/mac.ts'
import type { PodAttachment } from '../attachment-codec.ts'
import { gatewayOf } from '../ipam.ts'
import { podAddresses } from '../result.ts'
import { scratchAttachment } from '../scratch-attachment.ts'
import { diffPodSide } from './diff.ts'

const bridged = scratchAttachment('c1')
const routed = { ...bridged, routed: true }
const dual = {
  ...bridged,
  addresses: [...bridged.addresses, parseAddress('fd00:1::5')],
  podCidrs: [...bridged.podCidrs, parseCidr('fd00:1::/64')],
}
const plain: Link = {
  index: 2,
  name: 'eth0',
  mac: bridged.podMac,
  mtu: 1450,
  up: true,
  carrier: true,
  group: 0,
  alias: undefined,
  type: 'veth',
  master: undefined,
  peer: undefined,
  hairpin: undefined,
  vxlan: undefined,
  addresses: [],
}
const lo: Link = { ...plain, name: 'lo', type: undefined, mac: undefined, mtu: 65_536 }
const route = (destination: Cidr, gateway?: Address, device = 'eth0'): Route => ({
  family: destination.family,
  destination,
  gateway,
  device,
  source: undefined,
  protocol: 2,
  onlink: false,
  scope: 'link',
})
const anywhere = { 4: parseCidr('0.0.0.0/0'), 6: parseCidr('::/0') }

/** As ADD leaves it. */
function made(attachment: PodAttachment): NamespaceState {
  const addresses = podAddresses(attachment).map((each) => ({ ...each, scope: 'global' }))
  const routes = attachment.podCidrs.flatMap((podCidr) => {
    const gateway = gatewayOf(podCidr)
    return [route(attachment.routed ? parseCidr(`${gateway}/32`) : podCidr), route(anywhere[podCidr.family], gateway)]
  })
  return { links: [lo, { ...plain, addresses }], routes, fixedNeighbours: [] }
}

const gatewayMac = macOf('gateway', parseAddress('10.244.1.1'))
function linesOf(attachment: PodAttachment, changed: Partial<NamespaceState>): (string | undefined)[] {
  return diffPodSide(attachment, { ...made(attachment), ...changed }, (address) =>
    address === '10.244.1.1' ? gatewayMac : undefined,
  ).map(({ repair }) => repair?.line)
}

test.each([
  ['bridged', bridged],
  ['routed', routed],
  ['dual-stack', dual],
])('a %s pod that is as it was made has no drift, whatever else it has', (_, attachment) => {
  expect(linesOf(attachment, {})).toEqual([])
  const { links, routes } = made(attachment)
  expect(
    linesOf(attachment, {
      links: [
        ...links.map((link) => ({
          ...link,
          addresses: [...link.addresses, { address: parseAddress('10.9.0.1'), prefix: 32, scope: 'global' }],
        })),
        { ...plain, name: 'net1', up: false },
      ],
      routes: [...routes, route(parseCidr('10.0.0.0/8'), parseAddress('10.244.1.77'))],
      fixedNeighbours: [
        { address: parseAddress('10.244.1.1'), mac: gatewayMac, device: 'eth0' },
        { address: parseAddress('10.244.1.1'), mac: parseMac('02:00:00:00:00:01'), device: 'net1' },
        { address: parseAddress('10.9.9.9'), mac: parseMac('02:00:00:00:00:01'), device: 'eth0' },
      ],
    }),
  ).toEqual([])
})

test('each thing that was changed is put back by one line, in an order that the kernel takes', () => {
  const eth0 = { ...plain, mac: parseMac('02:00:00:00:00:01'), mtu: 9000, up: false, addresses: [] }
  const fixedNeighbours = [{ address: parseAddress('10.244.1.1'), mac: eth0.mac, device: 'eth0' }]
  expect(linesOf(dual, { links: [{ ...lo, up: false }, eth0], routes: [], fixedNeighbours })).toEqual([
    'link set lo up',
    'link set eth0 address 0a:58:0a:f4:01:05',
    'link set eth0 mtu 1450',
    'addr replace 10.244.1.5/24 dev eth0',
    'addr replace fd00:1::5/64 dev eth0 nodad',
    'link set eth0 up',
    'route replace 10.244.1.0/24 dev eth0 proto kernel scope link src 10.244.1.5',
    'route replace fd00:1::/64 dev eth0 proto kernel metric 256',
    'route replace 0.0.0.0/0 via 10.244.1.1 dev eth0',
    'route replace ::/0 via fd00:1::1 dev eth0',
    `neigh replace 10.244.1.1 lladdr ${gatewayMac} dev eth0 nud stale`,
  ])
  expect(linesOf(routed, { routes: [] })).toEqual([
    'route replace 10.244.1.1/32 dev eth0 scope link',
    'route replace 0.0.0.0/0 via 10.244.1.1 dev eth0',
  ])
})

test('an address with another prefix, and a default route by another gateway, are not those that were made', () => {
  const [network] = made(bridged).routes
  const addresses = [{ address: parseAddress('10.244.1.5'), prefix: 32, scope: 'global' }]
  const routes = [network!, route(anywhere[4], parseAddress('10.244.1.99'))]
  expect(linesOf(bridged, { links: [lo, { ...plain, addresses }], routes })).toEqual([
    'addr replace 10.244.1.5/24 dev eth0',
    'route replace 0.0.0.0/0 via 10.244.1.1 dev eth0',
  ])
})

test('a default route by another interface is that of another network', () => {
  const [network] = made(bridged).routes
  const routes = [network!, route(anywhere[4], parseAddress('192.168.7.1'), 'net1')]
  expect(diffPodSide(bridged, { ...made(bridged), routes }, () => undefined)).toMatchObject([
    { what: 'the default route via 10.244.1.1 is missing', taken: true },
  ])
})

test('an interface that is missing is told of and cannot be put back', () => {
  expect(diffPodSide(bridged, { ...made(bridged), links: [lo] }, () => undefined)).toEqual([
    { what: 'eth0 is missing', repair: undefined },
  ])
})
