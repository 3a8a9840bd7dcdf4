import fc from 'fast-check'
import { expect, test } from 'vitest'
import { jsonPatch, mergePatch } from './patch.ts'

// The cases of RFC 7386, appendix A.
test.each([
  [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
  [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
  [{ a: 'b' }, { a: null }, {}],
  [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
  [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
  [{ a: 'c' }, { a: ['b'] }, { a: ['b'] }],
  [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
  [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
  [
    ['a', 'b'],
    ['c', 'd'],
    ['c', 'd'],
  ],
  [{ a: 'b' }, ['c'], ['c']],
  [{ a: 'foo' }, null, null],
  [{ e: null }, { a: 1 }, { e: null, a: 1 }],
  [[1, 2], { a: 'b', c: null }, { a: 'b' }],
  [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
])('merges into %j the patch %j: %j', (target, patch, result) => {
  expect(mergePatch(target, patch)).toEqual(result)
})

test('leaves document and merge patch unchanged, and is idempotent', () => {
  const objects = fc.dictionary(fc.string(), fc.jsonValue())
  fc.assert(
    fc.property(objects, objects, (target, patch) => {
      const [targetBefore, patchBefore] = [JSON.stringify(target), JSON.stringify(patch)]
      const once = mergePatch(target, patch)
      return (
        JSON.stringify(mergePatch(once, patch)) === JSON.stringify(once) &&
        JSON.stringify(target) === targetBefore &&
        JSON.stringify(patch) === patchBefore
      )
    }),
  )
})

test('applies the operations of a JSON patch', () => {
  const target = { labels: { 'a/b': '1' }, list: [1, 2], old: { x: 1 } }
  const result = jsonPatch(target, [
    { op: 'test', path: '/labels/a~1b', value: '1' },
    { op: 'replace', path: '/labels/a~1b', value: '2' },
    { op: 'add', path: '/list/1', value: 9 },
    { op: 'add', path: '/list/-', value: 10 },
    { op: 'remove', path: '/list/0' },
    { op: 'move', from: '/old', path: '/new' },
    { op: 'copy', from: '/new/x', path: '/copied' },
  ])
  expect(result).toEqual({ labels: { 'a/b': '2' }, list: [9, 2, 10], new: { x: 1 }, copied: 1 })
  expect(target).toEqual({ labels: { 'a/b': '1' }, list: [1, 2], old: { x: 1 } })
})

test.each([
  [{ op: 'test', path: '/a', value: 2 }, 422],
  [{ op: 'remove', path: '/missing' }, 422],
  [{ op: 'add', path: '/a/b/c', value: 1 }, 422],
  [{ op: 'add', path: '/list/5', value: 1 }, 422],
  [{ op: 'invent', path: '/a' }, 400],
  [{ op: 'remove', path: 'a' }, 400],
])('rejects the operation %j', (operation, code) => {
  expect(() => jsonPatch({ a: 1, list: [] }, [operation])).toThrow(expect.objectContaining({ code }))
})
