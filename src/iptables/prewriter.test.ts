import { expect, test } from 'vitest'
import { Prewriter } from './prewriter.ts'
import type { ChainText } from './table-state.ts'

/** Writes that end when the test says so. */
function player() {
  const begun: { readonly names: string; readonly end: () => void; readonly fail: (error: Error) => void }[] = []
  const prewriter = new Prewriter(async (chains) => {
    const { promise, resolve, reject } = Promise.withResolvers<string>()
    const names = [...chains.keys()].join(' ')
    begun.push({ names, end: () => resolve(names), fail: reject })
    return promise
  })
  return { prewriter, begun, names: () => begun.map(({ names }) => names) }
}

const free = (...names: string[]): ReadonlyMap<string, ChainText> =>
  new Map(names.map((name) => [name, { lines: ['-j ACCEPT'], calls: ['ACCEPT'] }]))
const settled = async (): Promise<void> => {
  for (let turn = 0; turn < 10; turn++) await Promise.resolve()
}

test('writes two pieces at a time, each without what is under way, and the third when one has ended', async () => {
  const { prewriter, begun, names } = player()
  await prewriter.begin(free('a', 'b'))
  await prewriter.begin(free('a', 'b', 'c'))
  expect([names(), prewriter.size]).toEqual([['a b', 'c'], 3])
  const third = prewriter.begin(free('a', 'b', 'c', 'd'))
  await settled()
  expect(names()).toEqual(['a b', 'c'])
  begun[1]?.end()
  await third
  expect([names(), prewriter.size]).toEqual([['a b', 'c', 'd'], 3])
  for (const { end } of begun) end()
  expect(await prewriter.finish()).toEqual(['a b', 'c', 'd'])
  expect([prewriter.size, await prewriter.finish()]).toEqual([0, []])
})

test('holds back a chain that calls one under way until that exists', async () => {
  const { prewriter, begun, names } = player()
  await prewriter.begin(free('a'))
  const caller = prewriter.begin(new Map([['b', { lines: ['-m comment --comment "ns/b" -j a'], calls: ['a'] }]]))
  await settled()
  expect(names()).toEqual(['a'])
  begun[0]?.end()
  await caller
  expect(names()).toEqual(['a', 'b'])
})

test('begins nothing after a failure, reports it when all have ended, and begins anew', async () => {
  const { prewriter, begun, names } = player()
  await prewriter.begin(free('a'))
  await prewriter.begin(free('b'))
  begun[1]?.fail(new Error('no lock'))
  await settled()
  await prewriter.begin(free('c'))
  expect(names()).toEqual(['a', 'b'])
  begun[0]?.end()
  await expect(prewriter.finish()).rejects.toThrow('no lock')
  await prewriter.begin(free('c'))
  expect(names()).toEqual(['a', 'b', 'c'])
})
