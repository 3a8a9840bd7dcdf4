import { expect, test } from 'vitest'
import { addressOf, labNamed, maxNodes, memberOf, namespaceOf, nodeNumbered, underlay } from './layout.ts'

test('parses lab and member from a namespace, even when one lab is named like a part of another', () => {
  const [a, aNet] = [labNamed('a'), labNamed('a-net')]
  expect(memberOf(a, namespaceOf(a, 'node7'))).toBe('node7')
  expect(memberOf(a, namespaceOf(aNet, 'control'))).toBeUndefined()
  expect(memberOf(aNet, namespaceOf(aNet, 'control'))).toBe('control')
  expect(memberOf(a, 'flab-a-node01')).toBeUndefined()
  expect(memberOf(a, 'cni-1234')).toBeUndefined()
})

test('gives every member its own address', () => {
  const nodes = Array.from({ length: maxNodes }, (_, i) => addressOf(nodeNumbered(i + 1)))
  expect(nodes[0]).toBe('192.168.0.21')
  expect(new Set([...nodes, underlay.gateway, underlay.control, underlay.outside]).size).toBe(maxNodes + 3)
})

test.each(['', '-a', 'a-', 'A', 'a/b', '..', 'a b', 'a'.repeat(33)])('rejects the lab name %j', (name) => {
  expect(() => labNamed(name)).toThrow(TypeError)
})
