import { expect, test } from 'vitest'
import { type Address, parseAddress } from '../net/address.ts'
import { rulesInTheWay } from './rules-in-the-way.ts'

const places = [
  { address: parseAddress('192.168.0.10'), port: 6443 },
  { address: parseAddress('fd00::10'), port: 6443 },
]
const local = { isOwn: (address: Address) => address === '192.168.0.10', withServices: true }
const elsewhere = { ...local, isOwn: () => false }
const words = '-m comment --comment "ns/svc -d 192.168.0.10/32 \\"quoted\\" -j ACCEPT"'
const service = `-A KUBE-SERVICES -d 192.168.0.10/32 -p tcp ${words} -m tcp --dport 6443 -j KUBE-EXT-6TJOOQR23HJNTL2C`
const inTree = '-A KUBE-SVC-EXT-C0A8 -d 192.168.0.10/32 -p tcp -m tcp --dport 6443 -j KUBE-FW-6TJOOQR23HJNTL2C'
const six = '-A KUBE-SERVICES -d fd00::10/128 -p tcp -m tcp --dport 6443 -j KUBE-EXT-6TJOOQR23HJNTL2C'
const nodePort = '-A KUBE-NODEPORTS -p tcp -m comment --comment ns/svc -m tcp --dport 6443 -j KUBE-EXT-6TJOOQR23HJNTL2C'
const hostPort = '-A FAIRLEAD-HOSTPORT-DNAT -p tcp -m tcp --dport 6443 -j DNAT --to-destination 10.244.1.5:80'

test('finds what leads an address and port of the API server elsewhere', () => {
  const found = (lines: readonly string[], options: Parameters<typeof rulesInTheWay>[3]) =>
    rulesInTheWay('nat', lines, places, options).map(({ rule }) => rule)
  const all = [service, inTree, six, nodePort, hostPort]
  expect(found(all, local)).toEqual(all)
  expect(found(all, elsewhere)).toEqual([service, inTree, six])
  expect(found(all, { ...local, withServices: false })).toEqual([hostPort])
})

test('finds a node port that is counted on loopback addresses', () => {
  const counted =
    '-A KUBE-NODEPORTS -d 127.0.0.0/8 -p tcp -m tcp --dport 6443 -m nfacct --nfacct-name localhost_nps_accepted_pkts -j KUBE-EXT-6TJOOQR23HJNTL2C'
  const loopback = [{ address: parseAddress('127.0.0.1'), port: 6443 }]
  expect(rulesInTheWay('nat', [counted], loopback, elsewhere)).toEqual([{ table: 'nat', rule: counted }])
})

test.each([
  ['another address', service.replace('-d 192.168.0.10/32', '-d 192.168.0.11/32')],
  ['another port', service.replace('6443', '6444')],
  ['another protocol', service.replaceAll('tcp', 'udp')],
  ['all other addresses', service.replace('-d 192', '! -d 192')],
  ['a mark', service.replace('KUBE-EXT-6TJOOQR23HJNTL2C', 'KUBE-MARK-MASQ')],
  ['an endpoint', '-A KUBE-SEP-A -p tcp -m tcp -j DNAT --to-destination 192.168.0.10:6443'],
  ["another program's chain", service.replace('KUBE-SERVICES', 'DOCKER')],
  ['a base chain', service.replace('KUBE-SERVICES', 'PREROUTING')],
  ['a way back', hostPort.replace('DNAT --to-destination 10.244.1.5:80', 'RETURN')],
  ['a chain', ':KUBE-SERVICES - [0:0]'],
])('leaves alone a rule of %s', (_, line) => {
  expect(rulesInTheWay('nat', [line], places, local)).toEqual([])
})

test('finds in table filter what refuses it, and nothing that lets it in', () => {
  const refused =
    '-A KUBE-EXTERNAL-SERVICES -d 192.168.0.10/32 -p tcp -m tcp --dport 6443 -j REJECT --reject-with icmp-port-unreachable'
  const dropped = '-A KUBE-PROXY-FIREWALL -d 192.168.0.10/32 -p tcp -m tcp --dport 6443 -j DROP'
  const accepted = '-A KUBE-NODEPORTS -p tcp -m tcp --dport 6443 -j ACCEPT'
  expect(rulesInTheWay('filter', [refused, dropped, accepted], places, local).map(({ rule }) => rule)).toEqual([
    refused,
    dropped,
  ])
})
