import { expect, test } from 'vitest'
import { settleAll } from './settle-all.ts'

test('of two that fail, the first in their order is told of, whichever was the first in time, and not before both have ended', async () => {
  const [slow, quick] = [Promise.withResolvers<string>(), Promise.withResolvers<number>()]
  let told: unknown
  const all = settleAll([slow.promise, quick.promise]).catch((error: unknown) => (told = error))
  quick.reject(new Error('quick'))
  await new Promise(setImmediate)
  expect(told).toBeUndefined()
  slow.reject(new Error('slow'))
  await all
  expect(told).toEqual(new Error('slow'))
})

test('what they answer, in their order', async () => {
  expect(await settleAll([Promise.resolve('a'), Promise.resolve(1)])).toEqual(['a', 1])
})
