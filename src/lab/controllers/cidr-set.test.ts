import fc from 'fast-check'
import { expect, test } from 'vitest'
import { cidrsOverlap, formatCidr, parseCidr } from '../../net/cidr.ts'
import { CidrSet } from './cidr-set.ts'

const allocate = (blocks: CidrSet, owner: string): string | undefined => {
  const block = blocks.allocate(owner)
  return block && formatCidr(block)
}

test('allocates the lowest block, and the same one again to the same node', () => {
  const blocks = new CidrSet(parseCidr('172.30.0.0/16'), 24)
  expect([allocate(blocks, 'a'), allocate(blocks, 'b'), allocate(blocks, 'a')]).toEqual([
    '172.30.0.0/24',
    '172.30.1.0/24',
    '172.30.0.0/24',
  ])
})

test('does not allocate blocks that were assigned by hand, of any size', () => {
  const blocks = new CidrSet(parseCidr('10.0.0.0/16'), 24)
  blocks.occupy('a', [parseCidr('10.0.0.0/24')])
  blocks.occupy('b', [parseCidr('10.0.2.0/23')])
  expect([allocate(blocks, 'c'), allocate(blocks, 'd')]).toEqual(['10.0.1.0/24', '10.0.4.0/24'])
})

test('allocates released blocks last, in the order of their release', () => {
  const blocks = new CidrSet(parseCidr('10.0.0.0/22'), 24)
  for (const owner of ['a', 'b', 'c']) blocks.allocate(owner)
  blocks.keepOnly(new Set(['a', 'c']))
  blocks.keepOnly(new Set(['c']))
  expect(['d', 'e', 'f', 'g'].map((owner) => allocate(blocks, owner))).toEqual([
    '10.0.3.0/24',
    '10.0.1.0/24',
    '10.0.0.0/24',
    undefined,
  ])
})

test('never allocates overlapping blocks, whatever nodes come and go', () => {
  const step = fc.record({ owner: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g'), leaves: fc.boolean() })
  fc.assert(
    fc.property(fc.array(step), (steps) => {
      const blocks = new CidrSet(parseCidr('10.0.0.0/22'), 24)
      const held = new Map<string, string>()
      for (const { owner, leaves } of steps) {
        if (leaves) {
          held.delete(owner)
          blocks.keepOnly(new Set(held.keys()))
          continue
        }
        const block = allocate(blocks, owner)
        if (block !== undefined) held.set(owner, block)
        else if (held.size < 4) return false
      }
      const all = [...held.values()].map((text) => parseCidr(text))
      return all.every((a, i) => all.every((b, j) => i === j || !cidrsOverlap(a, b)))
    }),
  )
})
