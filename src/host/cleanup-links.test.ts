import { expect, test } from 'vitest'
import type { Link } from '../kernel/observed.ts'
import { linkRemovals } from './cleanup-links.ts'

function link(name: string, type: string | undefined, group: number, master?: string): Link {
  return {
    index: 1,
    name,
    mac: undefined,
    mtu: 1500,
    up: true,
    carrier: true,
    group,
    alias: undefined,
    type,
    master,
    peer: undefined,
    hairpin: undefined,
    vxlan: undefined,
    addresses: [],
  }
}

const lines = (links: readonly Link[]): string[] => linkRemovals(links).changes.map(({ line }) => line)

test('wires first, then limits, bridge and tunnel; whatever lacks our mark or is of no kind of ours stays', () => {
  const ours = [
    link('fairlead.1', 'vxlan', 98),
    link('cni0', 'bridge', 98),
    link('ifb1', 'ifb', 98),
    link('veth1', 'veth', 98, 'cni0'),
    link('veth2', 'veth', 99),
  ]
  const others = [
    link('eth0', undefined, 0),
    link('eth1', undefined, 98),
    link('dummy0', 'dummy', 98),
    link('flannel.1', 'vxlan', 0),
    link('docker0', 'bridge', 0),
    link('veth3', 'veth', 0, 'docker0'),
    link('ifb2', 'ifb', 99),
  ]
  expect(lines([...ours, ...others])).toEqual([
    'link del veth1',
    'link del veth2',
    'link del ifb1',
    'link del cni0',
    'link del fairlead.1',
  ])
  expect(linkRemovals(others)).toEqual({ changes: [], kept: [] })
})

test('a bridge of ours that others have ports on stays, and says whose they are', () => {
  const { changes, kept } = linkRemovals([
    link('cni0', 'bridge', 98),
    link('veth1', 'veth', 98, 'cni0'),
    link('veth2', 'veth', 0, 'cni0'),
  ])
  expect(changes.map(({ line }) => line)).toEqual(['link del veth1'])
  expect(kept).toEqual([
    'cni0 stays with its addresses: another program has ports on it (veth2); when they are gone, run this again',
  ])
})
