import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { ClusterNode } from '../cluster/node.ts'
import { parseAddress } from '../net/address.ts'
import { cidrContains, cidrsOverlap, parseCidr } from '../net/cidr.ts'
import { admit, type Evidence } from './membership.ts'

/** Node `name`, younger the higher its number. */
function node(name: string, i: number, given: Partial<ClusterNode> = {}): ClusterNode {
  return {
    name,
    uid: name,
    createdAt: i,
    podCidrs: [parseCidr(`10.244.${i}.0/24`)],
    internalAddresses: [parseAddress(`192.168.0.${i}`)],
    zone: undefined,
    leaving: false,
    alive: undefined,
    networkUnavailable: false,
    kubeletPort: 10_250,
    ...given,
  }
}

const names = (nodes: readonly ClusterNode[], evidence?: Evidence) =>
  admit(nodes, evidence)
    .members.map(({ name }) => name)
    .toSorted()
const why = (nodes: readonly ClusterNode[], evidence?: Evidence) =>
  admit(nodes, evidence).leftOut.map(({ problem }) => problem)

describe.each([
  ['InternalIP', { internalAddresses: [parseAddress('192.168.0.9')] }],
  ['IPv6 InternalIP', { internalAddresses: [parseAddress('fd00::9')] }],
  ['podCIDR', { podCidrs: [parseCidr('10.244.9.0/24')] }],
])('of an older and a younger node with one %s', (_, shared) => {
  const old = (alive: boolean | undefined) => node('old', 1, { ...shared, alive })
  const young = (alive: boolean | undefined) => node('young', 2, { ...shared, alive })
  const bystander = node('other', 3, { alive: true })

  test.each<[what: string, old: boolean | undefined, young: boolean | undefined, evidence: Evidence, wins: string]>([
    ['the living one, though younger', false, true, {}, 'young'],
    ['the living one, though the other never reported', undefined, true, {}, 'young'],
    ['the living one that is older', true, false, {}, 'old'],
    ['our own, which its object calls silent', false, false, { own: 'young' }, 'young'],
    ['our own, which has not reported yet, against a silent one', false, undefined, { own: 'young' }, 'young'],
    [
      'the one with recent heartbeats, where both say that they are alive',
      true,
      true,
      { stale: new Set(['old']) },
      'young',
    ],
    ['the older of two living ones', true, true, {}, 'old'],
    ['the older of two living ones, also where we are the younger', true, true, { own: 'young' }, 'old'],
    ['the one in force of two living ones', true, true, { inForce: ({ name }) => name === 'young' }, 'young'],
    ['the one in force of two silent ones', false, false, { inForce: ({ name }) => name === 'young' }, 'young'],
    [
      'the living one, though the silent one is in force',
      false,
      true,
      { inForce: ({ name }) => name === 'old' },
      'young',
    ],
    ['the one with recent heartbeats of two silent ones', false, false, { stale: new Set(['old']) }, 'young'],
    ['the older of two silent ones', false, false, {}, 'old'],
    [
      'the older of two without a Ready condition',
      undefined,
      undefined,
      { inForce: ({ name }) => name === 'young' },
      'old',
    ],
  ])('takes part: %s', (_what, first, second, evidence, wins) => {
    const nodes = [old(first), young(second), bystander]
    expect(names(nodes, evidence)).toEqual(['other', wins].toSorted())
    expect(names(nodes.toReversed(), evidence)).toEqual(['other', wins].toSorted())
  })
})

test('says why, and what to do', () => {
  const shared = { internalAddresses: [parseAddress('192.168.0.9')] }
  const both = (old: boolean, young: boolean) => [
    node('a', 1, { ...shared, alive: old }),
    node('b', 2, { ...shared, alive: young }),
  ]
  expect([
    ...why(both(false, true)),
    ...why(both(true, true), { stale: new Set(['a']) }),
    ...why(both(true, true)),
    ...why(both(true, true), { inForce: ({ name }) => name === 'b' }),
    ...why(both(false, false)),
  ]).toEqual([
    'Node a has InternalIP 192.168.0.9, as node b has, and is left out because no kubelet reports for it any more; delete Node a if its machine is gone',
    'Node a has InternalIP 192.168.0.9, as node b has, and is left out because its last heartbeat is long past; delete Node a if its machine is gone',
    'Node b has InternalIP 192.168.0.9, as the older node a has, and is left out, although both report; give one of the two machines another address',
    'Node a has InternalIP 192.168.0.9, as node b, whose pods are reached here, has, and is left out, although both report; give one of the two machines another address',
    'Node b has InternalIP 192.168.0.9, as the older node a has, and is left out; delete the Node object whose machine is gone',
  ])
})

test('a dead node whose podCIDR holds the address of a living one goes, and not that one', () => {
  const dead = node('dead', 1, {
    podCidrs: [parseCidr('192.168.0.0/24')],
    internalAddresses: [parseAddress('192.168.7.1')],
  })
  const living = [node('b', 2, { alive: true }), node('c', 3, { alive: true })]
  expect(names([{ ...dead, alive: false }, ...living])).toEqual(['b', 'c'])
  expect(names([{ ...dead, alive: true }, ...living])).toEqual(['dead'])
})

const anyNode = fc
  .record({
    name: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'),
    age: fc.integer({ min: 1, max: 3 }),
    block: fc.integer({ min: 0, max: 4 }),
    size: fc.constantFrom(24, 24, 22),
    host: fc.constantFrom('192.168.0.1', '192.168.0.2', '192.168.0.3', '10.244.1.7'),
    alive: fc.constantFrom(true, false),
  })
  .map(({ name, age, block, size, host, alive }) =>
    node(name, age, {
      podCidrs: [parseCidr(`10.244.${size === 22 ? block * 4 : block}.0/${size}`)],
      internalAddresses: [parseAddress(host)],
      alive,
    }),
  )
const cluster = fc.uniqueArray(anyNode, { selector: ({ name }) => name, maxLength: 6 })

describe('laws', () => {
  test('members never claim the same, and the order of the nodes means nothing', () => {
    fc.assert(
      fc.property(cluster, fc.infiniteStream(fc.nat()), (nodes, order) => {
        const { members } = admit(nodes)
        for (const [i, one] of members.entries())
          for (const other of members.slice(i + 1)) {
            expect(one.internalAddresses).not.toEqual(other.internalAddresses)
            expect(cidrsOverlap(one.podCidrs[0]!, other.podCidrs[0]!)).toBe(false)
            expect(cidrContains(one.podCidrs[0]!, other.internalAddresses[0]!)).toBe(false)
          }
        const shuffled = nodes
          .map((each) => [order.next().value, each] as const)
          .toSorted(([a], [b]) => Number(a) - Number(b))
        expect(names(shuffled.map(([, each]) => each))).toEqual(names(nodes))
      }),
    )
  })

  test('a living node without a living rival takes part, whatever dead Node objects say', () => {
    fc.assert(
      fc.property(cluster, cluster, (nodes, others) => {
        const dead = others.map((each) => ({ ...each, name: `dead-${each.name}`, alive: false }))
        const living = nodes.map((each) => ({ ...each, alive: true }))
        expect(admit([...dead, ...living]).members.filter(({ alive }) => alive)).toEqual(admit(living).members)
      }),
    )
  })

  test('when all nodes fall silent, and when they report again, those in force stay', () => {
    fc.assert(
      fc.property(cluster, fc.subarray(['a', 'b', 'c', 'd', 'e', 'f']), (nodes, late) => {
        const stale = new Set(late)
        const before = names(nodes, { stale })
        const inForce = ({ name }: ClusterNode) => before.includes(name)
        const silent = nodes.map((each) => ({ ...each, alive: false }))
        expect(names(silent, { stale, inForce })).toEqual(expect.arrayContaining(before))
        expect(names(nodes, { stale, inForce })).toEqual(expect.arrayContaining(before))
      }),
    )
  })
})
