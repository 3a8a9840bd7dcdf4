import fc from 'fast-check'
import { expect, test } from 'vitest'
import { cidrsOverlap, formatCidr, parseCidr } from '../../net/cidr.ts'
import { NodeBlocks } from './node-blocks.ts'

const give = (blocks: NodeBlocks, owner: string): string | undefined => {
  const block = blocks.give(owner)
  return block && formatCidr(block)
}

test('the lowest block first, and the same one when asked again', () => {
  const blocks = new NodeBlocks(parseCidr('172.30.0.0/16'), 24)
  expect([give(blocks, 'a'), give(blocks, 'b'), give(blocks, 'a')]).toEqual([
    '172.30.0.0/24',
    '172.30.1.0/24',
    '172.30.0.0/24',
  ])
})

test('what a node has by hand is never given, whatever its size', () => {
  const blocks = new NodeBlocks(parseCidr('10.0.0.0/16'), 24)
  blocks.hold('a', [parseCidr('10.0.0.0/24')])
  blocks.hold('b', [parseCidr('10.0.2.0/23')])
  expect([give(blocks, 'c'), give(blocks, 'd')]).toEqual(['10.0.1.0/24', '10.0.4.0/24'])
})

test('a freed block comes last, the longest freed first', () => {
  const blocks = new NodeBlocks(parseCidr('10.0.0.0/22'), 24)
  for (const owner of ['a', 'b', 'c']) blocks.give(owner)
  blocks.keepOnly(new Set(['a', 'c']))
  blocks.keepOnly(new Set(['c']))
  expect(['d', 'e', 'f', 'g'].map((owner) => give(blocks, owner))).toEqual([
    '10.0.3.0/24',
    '10.0.1.0/24',
    '10.0.0.0/24',
    undefined,
  ])
})

test('never two nodes share an address, whoever comes and goes', () => {
  const step = fc.record({ owner: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g'), leaves: fc.boolean() })
  fc.assert(
    fc.property(fc.array(step), (steps) => {
      const blocks = new NodeBlocks(parseCidr('10.0.0.0/22'), 24)
      const held = new Map<string, string>()
      for (const { owner, leaves } of steps) {
        if (leaves) {
          held.delete(owner)
          blocks.keepOnly(new Set(held.keys()))
          continue
        }
        const block = give(blocks, owner)
        if (block !== undefined) held.set(owner, block)
        else if (held.size < 4) return false
      }
      const all = [...held.values()].map((text) => parseCidr(text))
      return all.every((a, i) => all.every((b, j) => i === j || !cidrsOverlap(a, b)))
    }),
  )
})
