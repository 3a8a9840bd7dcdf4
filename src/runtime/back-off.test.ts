import fc from 'fast-check'
import { expect, test } from 'vitest'
import { BackOff } from './back-off.ts'
import { FakeClock } from '../../test/support/fake-clock.ts'

test('doubles the wait from 0.8 s up to 30 s', () => {
  const clock = new FakeClock()
  clock.random = () => 0
  const backOff = new BackOff({ clock })
  expect(Array.from({ length: 8 }, () => backOff.failed())).toEqual([
    800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000,
  ])
})

test('shortens a wait at random by at most half, so that nodes spread their retries', () => {
  fc.assert(
    fc.property(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), fc.nat(2000), (chance, failures) => {
      const clock = new FakeClock()
      clock.random = () => chance
      const backOff = new BackOff({ clock })
      let wait = 0
      for (let i = 0; i <= failures; i++) wait = backOff.failed()
      const whole = Math.min(30_000, 800 * 2 ** failures)
      return wait <= whole && wait >= whole / 2
    }),
  )
})

test('starts over after two minutes without a failure, not after less', () => {
  const clock = new FakeClock()
  clock.random = () => 0
  const backOff = new BackOff({ clock })
  backOff.failed()
  backOff.failed()
  backOff.succeeded()
  clock.time += 119_999
  expect(backOff.failed()).toBe(3200)
  clock.time += 1_000_000
  expect(backOff.failed()).toBe(6400)
  backOff.succeeded()
  clock.time += 60_000
  backOff.succeeded()
  clock.time += 60_000
  expect(backOff.failed()).toBe(800)
})

test('takes other waits, and can start over after one success', () => {
  const clock = new FakeClock()
  clock.random = () => 0
  const backOff = new BackOff({ firstMs: 100, longestMs: 500, forgottenAfterMs: 0, clock })
  expect(Array.from({ length: 4 }, () => backOff.failed())).toEqual([100, 200, 400, 500])
  backOff.succeeded()
  expect(backOff.failed()).toBe(100)
})
