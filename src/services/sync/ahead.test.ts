import { expect, test } from 'vitest'
import type { Chains } from '../rendered.ts'
import { Ahead } from './ahead.ts'

/** Writes that end when they are told to. */
function player() {
  const begun: { readonly names: string; readonly end: () => void; readonly fail: (error: Error) => void }[] = []
  const ahead = new Ahead(async (chains) => {
    const { promise, resolve, reject } = Promise.withResolvers<string>()
    const names = [...chains.keys()].join(' ')
    begun.push({ names, end: () => resolve(names), fail: reject })
    return promise
  })
  return { ahead, begun, names: () => begun.map(({ names }) => names) }
}

const free = (...names: string[]): Chains => new Map(names.map((name) => [name, ['-j ACCEPT']]))
const settled = async (): Promise<void> => {
  for (let turn = 0; turn < 10; turn++) await Promise.resolve()
}

test('two pieces at a time, each without what is under way; the third when one has ended', async () => {
  const { ahead, begun, names } = player()
  await ahead.begin(free('a', 'b'))
  await ahead.begin(free('a', 'b', 'c'))
  expect([names(), ahead.size]).toEqual([['a b', 'c'], 3])
  const third = ahead.begin(free('a', 'b', 'c', 'd'))
  await settled()
  expect(names()).toEqual(['a b', 'c'])
  begun[1]?.end()
  await third
  expect([names(), ahead.size]).toEqual([['a b', 'c', 'd'], 3])
  for (const { end } of begun) end()
  expect(await ahead.finish()).toEqual(['a b', 'c', 'd'])
  expect([ahead.size, await ahead.finish()]).toEqual([0, []])
})

test('what leads to a chain that is under way waits until that is there', async () => {
  const { ahead, begun, names } = player()
  await ahead.begin(free('a'))
  const caller = ahead.begin(new Map([['b', ['-m comment --comment "ns/b" -j a']]]))
  await settled()
  expect(names()).toEqual(['a'])
  begun[0]?.end()
  await caller
  expect(names()).toEqual(['a', 'b'])
})

test('once one has failed nothing more begins, and it is told of when all have ended; then it may begin anew', async () => {
  const { ahead, begun, names } = player()
  await ahead.begin(free('a'))
  await ahead.begin(free('b'))
  begun[1]?.fail(new Error('no lock'))
  await settled()
  await ahead.begin(free('c'))
  expect(names()).toEqual(['a', 'b'])
  begun[0]?.end()
  await expect(ahead.finish()).rejects.toThrow('no lock')
  await ahead.begin(free('c'))
  expect(names()).toEqual(['a', 'b', 'c'])
})
