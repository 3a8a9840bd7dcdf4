import { expect, test } from 'vitest'
import type { Link, Route } from '../../kernel/observed.ts'
import { parseAddress } from '../../net/address.ts'
import { parseCidr } from '../../net/cidr.ts'
import { linkRemovals, nftRemovals, policyRuleRemovals, routeRemovals, setRemovals } from './links.ts'
import { type Removals, stepCommands } from './removals.ts'

const nobody = new Set<never>()
const commands = ({ steps }: Removals): string[] => steps.flatMap(stepCommands)

function link(name: string, type: string | undefined, more: Partial<Link> = {}): Link {
  return {
    index: 1,
    name,
    mac: undefined,
    mtu: 1500,
    up: true,
    carrier: true,
    group: 0,
    alias: undefined,
    type,
    master: undefined,
    peer: undefined,
    hairpin: undefined,
    vxlan: undefined,
    addresses: [],
    ...more,
  }
}

test('links are known by name and kind together; ours and those of other kinds stay', () => {
  const theirs = [
    link('flannel.1', 'vxlan'),
    link('flannel-v6.1', 'vxlan'),
    link('flannel-wg', 'wireguard'),
    link('flannel0', 'tun'),
    link('kube-bridge', 'bridge'),
    link('tun-1921680', 'ipip'),
    link('tun-0f0e0d0c0b0', 'ip6tnl'),
    link('kube-ipvs0', 'dummy'),
    link('kube-dummy-if', 'dummy'),
    link('cni0', 'bridge'),
  ]
  const others = [
    link('cni0', 'bridge', { group: 98 }),
    link('tun-vpn', 'tun'),
    link('tun-1921681', 'tun'),
    link('docker0', 'bridge'),
    link('eth0', undefined),
    link('vxlan1', 'vxlan'),
  ]
  expect(commands(linkRemovals([...theirs, ...others], nobody))).toEqual(
    theirs.map(({ name }) => `ip link del ${name}`),
  )
  expect(linkRemovals(others, nobody).kept).toEqual([])
  expect(linkRemovals([link('cilium_host', 'veth'), link('flannel.1', 'bridge')], nobody)).toMatchObject({
    steps: [],
    kept: [expect.stringContaining('cilium_host'), expect.stringContaining('flannel.1')],
  })
})

test('a bridge with ports stays, and what runs keeps its device', () => {
  expect(
    linkRemovals([link('kube-bridge', 'bridge'), link('veth1', 'veth', { master: 'kube-bridge' })], nobody),
  ).toEqual({
    steps: [],
    kept: ['kube-bridge stays: veth1 is on it; delete those pods, then run this again'],
    held: [],
  })
  expect(linkRemovals([link('flannel.1', 'vxlan')], new Set(['flannel']))).toEqual({
    steps: [],
    kept: [],
    held: ['flannel'],
  })
})

test("routes are theirs by kube-router's protocol, or unmarked through a gateway into a pod network that they name", () => {
  const route = (destination: string, more: Partial<Route> = {}): Route => ({
    family: 4,
    destination: parseCidr(destination),
    gateway: parseAddress('192.0.2.9'),
    device: 'eth0',
    source: undefined,
    protocol: 3,
    onlink: false,
    scope: undefined,
    ...more,
  })
  const networks = [{ owner: 'flannel' as const, cidr: parseCidr('10.244.0.0/16') }]
  const theirs = [route('10.244.3.0/24'), route('10.55.0.0/24', { protocol: 17 })]
  const others = [
    route('0.0.0.0/0'),
    route('10.0.0.0/8'),
    route('10.243.0.0/16'),
    route('10.244.4.0/24', { protocol: 98 }),
    route('10.244.5.0/24', { gateway: undefined }),
    route('10.244.6.0/24', { device: 'flannel.1' }),
  ]
  expect(commands(routeRemovals([...theirs, ...others], networks, [link('flannel.1', 'vxlan')], nobody))).toEqual([
    'ip -4 route del 10.244.3.0/24 via 192.0.2.9 dev eth0 proto 3',
    'ip -4 route del 10.55.0.0/24 via 192.0.2.9 dev eth0 proto 17',
  ])
})

test("kube-router's table is emptied where a rule of its own leads to it and there is something in it", () => {
  const rule = { family: 4 as const, priority: 100, source: parseCidr('10.55.1.0/24'), table: 77 }
  expect(
    commands(policyRuleRemovals([rule, { ...rule, source: undefined }, { ...rule, table: 78 }], new Set([4]), nobody)),
  ).toEqual(['ip -4 rule del from 10.55.1.0/24 lookup 77 priority 100', 'ip -4 route flush table 77'])
  expect(commands(policyRuleRemovals([rule], new Set([6]), nobody))).toHaveLength(1)
  expect(commands(policyRuleRemovals([], new Set([4]), nobody))).toEqual([])
})

test('tables of nftables and sets of ipset are known by their whole name', () => {
  expect(
    nftRemovals(
      [
        { family: 'ip', name: 'kube-proxy' },
        { family: 'inet', name: 'kube-proxy' },
        { family: 'inet', name: 'kindnet-network-policies' },
        { family: 'ip', name: 'nat' },
      ],
      nobody,
    ),
  ).toMatchObject({
    steps: [
      { words: ['nft', 'delete', 'table', 'ip', 'kube-proxy'] },
      { words: ['nft', 'delete', 'table', 'inet', 'kindnet-network-policies'] },
    ],
    kept: ["nftables table inet kube-proxy stays: it looks like a network's, but of none that is known here"],
  })
  expect(
    commands(
      setRemovals(
        [
          'KUBE-CLUSTER-IP',
          'KUBE-6-NODE-PORT-TCP',
          'inet6:kube-router-pod-subnets',
          'KUBE-DST-2FAGZ3C2WZ4AEHJB',
          'KUBE-MINE',
          'mine',
        ],
        nobody,
      ),
    ),
  ).toEqual([
    'ipset destroy KUBE-CLUSTER-IP',
    'ipset destroy KUBE-6-NODE-PORT-TCP',
    'ipset destroy inet6:kube-router-pod-subnets',
    'ipset destroy KUBE-DST-2FAGZ3C2WZ4AEHJB',
  ])
})
