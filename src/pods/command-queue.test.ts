import { expect, test } from 'vitest'
import { CommandQueue } from './command-queue.ts'

/** Work that ends when it is told to, and what has begun so far. */
function workshop(queue: CommandQueue) {
  const begun: string[] = []
  const start = (
    name: string,
    ids: readonly string[] | 'all',
  ): { end: (error?: Error) => void; done: Promise<string> } => {
    const { promise, resolve, reject } = Promise.withResolvers<string>()
    const work = (): Promise<string> => {
      begun.push(name)
      return promise
    }
    const done = ids === 'all' ? queue.exclusive(work) : queue.run(ids, work)
    return { end: (error) => (error === undefined ? resolve(name) : reject(error)), done }
  }
  return { begun, start, settle: () => new Promise((resolve) => setImmediate(resolve)) }
}

test('one container waits for itself and for nobody else, and a failure lets the next one in', async () => {
  const queue = new CommandQueue()
  const { begun, start, settle } = workshop(queue)
  const [first, second, other] = [start('a1', ['a']), start('a2', ['a']), start('b1', ['b'])]
  await settle()
  expect(begun).toEqual(['a1', 'b1'])
  expect([queue.isBusy(['c', 'a']), queue.isBusy(['c'])]).toEqual([true, false])
  first.end(new Error('no'))
  await expect(first.done).rejects.toThrow('no')
  await settle()
  expect(begun).toEqual(['a1', 'b1', 'a2'])
  second.end()
  other.end()
  expect(await Promise.all([second.done, other.done])).toEqual(['a2', 'b1'])
  await settle()
  expect(queue.isBusy(['a'])).toBe(false)
})

test('work about several containers waits for each of them, and they for it', async () => {
  const { begun, start, settle } = workshop(new CommandQueue())
  const [a, b, both, later] = [start('a', ['a']), start('b', ['b']), start('both', ['a', 'b']), start('later', ['b'])]
  a.end()
  await settle()
  expect(begun).toEqual(['a', 'b'])
  b.end()
  await settle()
  expect(begun).toEqual(['a', 'b', 'both'])
  both.end()
  await settle()
  expect(begun).toEqual(['a', 'b', 'both', 'later'])
  later.end()
})

test('what is exclusive runs alone, between what came before and what comes after', async () => {
  const { begun, start, settle } = workshop(new CommandQueue())
  const [a, gc, b] = [start('a', ['a']), start('gc', 'all'), start('b', ['b'])]
  await settle()
  expect(begun).toEqual(['a'])
  a.end()
  await settle()
  expect(begun).toEqual(['a', 'gc'])
  gc.end(new Error('no'))
  await expect(gc.done).rejects.toThrow('no')
  await settle()
  expect(begun).toEqual(['a', 'gc', 'b'])
  b.end()
})
