import { expect, test } from 'vitest'
import { Mutex } from './mutex.ts'

test('runs one piece of work at a time in the order of the calls, and goes on after a failure', async () => {
  const mutex = new Mutex()
  const seen: string[] = []
  const work =
    (name: string, fail = false) =>
    async (): Promise<string> => {
      seen.push(`${name} begins`)
      await Promise.resolve()
      seen.push(`${name} ends`)
      if (fail) throw new Error(name)
      return name
    }
  const all = [mutex.run(work('a')), mutex.run(work('b', true)), mutex.run(work('c'))]
  expect(await Promise.allSettled(all)).toMatchObject([{ value: 'a' }, { reason: new Error('b') }, { value: 'c' }])
  expect(seen).toEqual(['a begins', 'a ends', 'b begins', 'b ends', 'c begins', 'c ends'])
})
