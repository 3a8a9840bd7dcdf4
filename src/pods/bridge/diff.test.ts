import { expect, test } from 'vitest'
import { ourGroup } from '../../kernel/kernel.ts'
import type { Link } from '../../kernel/observed.ts'
import { parseAddress } from '../../net/address.ts'
import { parseCidr } from '../../net/cidr.ts'
import { parseInterfaceName } from '../../net/interface-name.ts'
import { parseMac } from '../../net/mac.ts'
import { scratchAttachment } from '../scratch-attachment.ts'
import { aliasOf } from '../veth-alias.ts'
import { type BridgeSettings, desiredBridge } from './desired.ts'
import { BridgeConflictError, diffBridge } from './diff.ts'

const settings: BridgeSettings = {
  bridge: parseInterfaceName('cni0'),
  mtu: 1450,
  podCidrs: [parseCidr('10.244.1.0/24')],
  localhostHostPorts: false,
}
const pod = scratchAttachment('c1')
const plain: Link = {
  index: 1,
  name: '',
  mac: undefined,
  mtu: 1450,
  up: true,
  carrier: true,
  group: 0,
  alias: undefined,
  type: undefined,
  master: undefined,
  peer: undefined,
  hairpin: undefined,
  vxlan: undefined,
  addresses: [],
}
const gateway = { address: parseAddress('10.244.1.1'), prefix: 24, scope: 'global' }
const old = { address: parseAddress('10.9.0.1'), prefix: 24, scope: 'global' }
const bridge: Link = {
  ...plain,
  name: 'cni0',
  type: 'bridge',
  group: ourGroup,
  mac: parseMac('0e:58:0a:f4:01:01'),
  addresses: [gateway],
}
const veth: Link = {
  ...plain,
  name: pod.hostInterface,
  type: 'veth',
  group: ourGroup,
  master: 'cni0',
  hairpin: true,
  alias: aliasOf(pod),
}
const stranger: Link = { ...plain, name: 'veth1234', type: 'veth', master: 'cni0' }

const linesOf = (links: readonly Link[], changed: Partial<BridgeSettings> = {}, takeOver = false): string[] =>
  diffBridge(desiredBridge({ ...settings, ...changed }, [pod]), links, takeOver).map((change) => change.line)

const valueOf = (key: string, changed: Partial<BridgeSettings> = {}): string | undefined =>
  desiredBridge({ ...settings, ...changed }, []).sysctls.find((sysctl) => sysctl.key === key)?.value

test('a missing bridge is made with its own MAC and MTU before anything is put on it', () => {
  expect(linesOf([])).toEqual([
    'link add cni0 address 0e:58:0a:f4:01:01 group 98 type bridge',
    'link set cni0 mtu 1450',
    'addr replace 10.244.1.1/24 dev cni0',
    'link set cni0 up',
  ])
})

test('what is as it should be is left alone', () => {
  expect(linesOf([bridge, veth])).toEqual([])
})

test('each thing that was changed under us is put back by one line', () => {
  const wrong = linesOf([
    {
      ...bridge,
      mac: parseMac('02:00:00:00:00:01'),
      mtu: 1500,
      up: false,
      addresses: [old, { address: parseAddress('fe80::1'), prefix: 64, scope: 'link' }],
    },
    { ...veth, hairpin: false, up: false, mtu: 9000, alias: undefined },
  ])
  expect(wrong).toEqual([
    'addr replace 10.244.1.1/24 dev cni0',
    'link set cni0 address 0e:58:0a:f4:01:01',
    'link set cni0 mtu 1450',
    'link set cni0 up',
    'addr del 10.9.0.1/24 dev cni0',
    `link set ${veth.name} type bridge_slave hairpin on`,
    `link set ${veth.name} mtu 1450`,
    `link set ${veth.name} up`,
    `link set ${veth.name} alias ///fairlead/c1`,
  ])
  expect(linesOf([bridge, { ...veth, master: undefined, hairpin: undefined }])).toEqual([
    `link set ${veth.name} master cni0`,
    `link set ${veth.name} type bridge_slave hairpin on`,
  ])
})

test('a new podCIDR brings its gateway, and the former one stays while a pod uses it', () => {
  const changed = { podCidrs: [parseCidr('10.244.7.0/24')] }
  expect(linesOf([bridge, veth], changed)).toEqual([
    'addr replace 10.244.7.1/24 dev cni0',
    'link set cni0 address 0e:58:0a:f4:07:01',
  ])
  const withoutPods = diffBridge(desiredBridge({ ...settings, ...changed }, []), [bridge], false).map(
    (change) => change.line,
  )
  expect(withoutPods).toContain('addr del 10.244.1.1/24 dev cni0')
})

test('both families have a gateway', () => {
  expect(linesOf([bridge, veth], { podCidrs: [...settings.podCidrs, parseCidr('fd00:1::/64')] })).toEqual([
    'addr replace fd00:1::1/64 dev cni0 nodad',
  ])
})

test('a foreign bridge without ports is adopted and marked', () => {
  expect(linesOf([{ ...bridge, group: 0, addresses: [old] }])).toEqual([
    'addr replace 10.244.1.1/24 dev cni0',
    'link set cni0 group 98',
    'addr del 10.9.0.1/24 dev cni0',
  ])
})

test('a foreign bridge in use is refused, or shared on request with its own gateway kept', () => {
  const foreign = { ...bridge, group: 0, addresses: [old] }
  expect(() => linesOf([foreign, stranger])).toThrow(BridgeConflictError)
  expect(() => linesOf([foreign, stranger])).toThrow('set takeOver to share it')
  expect(linesOf([foreign, stranger], {}, true)).toEqual([
    'addr replace 10.244.1.1/24 dev cni0',
    'link set cni0 group 98',
  ])
  expect(linesOf([{ ...bridge, addresses: [gateway, old] }, stranger], {}, true)).toEqual([])
  expect(linesOf([{ ...bridge, addresses: [gateway, old] }])).toEqual(['addr del 10.9.0.1/24 dev cni0'])
})

test.each([
  ['a macvlan interface', { type: 'macvlan' }],
  ['a hardware interface', { type: undefined }],
])('%s of that name is never touched, not even with takeOver', (words, difference) => {
  expect(() => linesOf([{ ...bridge, ...difference }], {}, true)).toThrow(`cni0 is ${words} and not a bridge`)
})

test('settings: loopback traffic is routed on request alone, and IPv6 ones come with IPv6', () => {
  expect(valueOf('net/ipv4/conf/cni0/route_localnet')).toBe('0')
  expect(valueOf('net/ipv4/conf/cni0/route_localnet', { localhostHostPorts: true })).toBe('1')
  expect(valueOf('net/ipv6/conf/all/forwarding')).toBeUndefined()
  expect(valueOf('net/ipv6/conf/all/forwarding', { podCidrs: [parseCidr('fd00:1::/64')] })).toBe('1')
})
