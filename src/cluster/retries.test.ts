import { setImmediate } from 'node:timers/promises'
import { pino } from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import { ApiError } from './api-error.ts'
import { StoppedClock } from '../../test/support/fake-clock.ts'
import { Recovery } from './recovery.ts'
import { Retries } from './retries.ts'

const refused = new Error('connect ECONNREFUSED')

/** Two reflectors' retries for one server, each with a clock of its own. */
function two() {
  const recovery = new Recovery()
  const stop = new AbortController()
  onTestFinished(() => stop.abort())
  const reader = () => {
    const clock = new StoppedClock()
    const retries = new Retries({ path: '/api/v1/things', recovery, clock, log: pino({ level: 'silent' }) })
    let waiting = 0
    const fail = async (error: Error = refused): Promise<void> => {
      waiting += 1
      await retries.wait(error, stop.signal)
      waiting -= 1
    }
    return { retries, fail, wake: () => clock.wakeAll(), waits: async () => (await setImmediate(), waiting > 0) }
  }
  return { one: reader(), other: reader() }
}

test('ends the waits of others when it is answered after a full wait', async () => {
  const { one, other } = two()
  void one.fail()
  void other.fail()
  expect([await one.waits(), await other.waits()]).toEqual([true, true])
  one.wake()
  expect([await one.waits(), await other.waits()]).toEqual([false, true])
  one.retries.begin()
  one.retries.answered()
  expect(await other.waits()).toBe(false)
})

test('does not end the waits of others after a wait that was cut short, nor with a second answer', async () => {
  const { one, other } = two()
  void one.fail()
  void other.fail()
  one.wake()
  await one.waits()
  one.retries.begin()
  one.retries.answered()
  expect(await other.waits()).toBe(false)
  void one.fail()
  other.retries.begin()
  other.retries.answered()
  expect(await one.waits()).toBe(true)
  void other.fail()
  one.retries.answered()
  expect(await other.waits()).toBe(true)
})

test('counts an answer that another reflector got during its own failed attempt once', async () => {
  const { one, other } = two()
  void one.fail()
  one.wake()
  await one.waits()
  other.retries.begin()
  one.retries.begin()
  one.retries.answered()
  void other.fail()
  expect(await other.waits()).toBe(false)
  other.retries.begin()
  void other.fail()
  expect(await other.waits()).toBe(true)
})

test('waits as long as Retry-After says, whatever others are answered', async () => {
  const { one, other } = two()
  void one.fail()
  void other.fail(new ApiError({ status: 429, reason: 'TooManyRequests', message: 'too many requests', retryAfter: 7 }))
  one.wake()
  await one.waits()
  one.retries.begin()
  one.retries.answered()
  expect(await other.waits()).toBe(true)
  other.wake()
  expect(await other.waits()).toBe(false)
})
