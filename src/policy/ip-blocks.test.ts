import { expect, test } from 'vitest'
import type { BlockPeer } from '../cluster/network-policy.ts'
import { parseAddress } from '../net/address.ts'
import { parseCidr } from '../net/cidr.ts'
import { blockIntervals, tunnelAddresses } from './ip-blocks.ts'
import { ScratchCluster } from './scratch-cluster.ts'

function block(cidr: string, ...except: readonly string[]): BlockPeer {
  return { cidr: parseCidr(cidr), except: except.map(parseCidr) }
}

test('blocks less their exceptions, joined where they touch; what one excepts another may bring', () => {
  expect(blockIntervals([block('10.0.0.0/8', '10.1.0.0/16', '10.2.0.0/16')], 4, [])).toEqual([
    '10.0.0.0-10.0.255.255',
    '10.3.0.0-10.255.255.255',
  ])
  expect(
    blockIntervals([block('10.0.0.0/16', '10.0.1.0/24'), block('10.0.1.7/32'), block('10.1.0.0/16')], 4, []),
  ).toEqual(['10.0.0.0-10.0.0.255', '10.0.1.7', '10.0.2.0-10.1.255.255'])
  expect(blockIntervals([block('0.0.0.0/0'), block('fd00::/64')], 4, [])).toEqual(['0.0.0.0-255.255.255.255'])
  expect(blockIntervals([block('10.0.0.0/8'), block('::/0', '8000::/1')], 6, [])).toEqual([
    '::-7fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff',
  ])
})

test("a node's tunnel address goes where its own address goes", () => {
  const tunnels = tunnelAddresses(
    new ScratchCluster()
      .node('n2', '192.168.0.22', '10.244.2.0/24')
      .node('n1', '192.168.0.21', '10.244.1.0/24')
      .snapshots.nodes.values(),
  )
  expect(tunnels).toEqual(
    [
      ['192.168.0.21', '10.244.1.0'],
      ['192.168.0.22', '10.244.2.0'],
    ].map(([own = '', tunnel = '']) => ({ own: [parseAddress(own)], tunnel: parseAddress(tunnel) })),
  )
  expect(blockIntervals([block('192.168.0.22/32')], 4, tunnels)).toEqual(['10.244.2.0', '192.168.0.22'])
  expect(blockIntervals([block('10.244.0.0/16')], 4, tunnels)).toEqual(['10.244.0.0-10.244.255.255'])
  expect(blockIntervals([block('0.0.0.0/0', '192.168.0.22/32')], 4, tunnels)).toEqual([
    '0.0.0.0-10.244.1.255',
    '10.244.2.1-192.168.0.21',
    '192.168.0.23-255.255.255.255',
  ])
})
