import { expect, test } from 'vitest'
import { ProgrammingLatency } from './programming-latency.ts'

function latency() {
  const state = { now: 100_000 }
  return { state, latency: new ProgrammingLatency(() => state.now) }
}

test('each change counts once, in the family of its slice, from when it was until its sync is through', () => {
  const { state, latency: tracker } = latency()
  tracker.sliceChanged('ns/web-1', 4, 100_500)
  // The same slice again for another reason: its annotation stays.
  tracker.sliceChanged('ns/web-1', 4, 100_500)
  tracker.sliceChanged('ns/web-2', 6, 101_000)
  const taken = tracker.take()
  tracker.sliceChanged('ns/web-1', 4, 101_900)
  state.now = 102_000
  expect(tracker.programmed(taken)).toEqual([
    { family: 4, seconds: 1.5 },
    { family: 6, seconds: 1 },
  ])
  expect(tracker.programmed(tracker.take())).toEqual([{ family: 4, seconds: 0.1 }])
})

test('what a failed sync had taken waits for the next', () => {
  const { state, latency: tracker } = latency()
  tracker.sliceChanged('ns/web-1', 4, 100_500)
  const taken = tracker.take()
  tracker.sliceChanged('ns/web-1', 4, 101_000)
  tracker.failed(taken)
  state.now = 101_500
  expect(tracker.programmed(tracker.take()).map(({ seconds }) => seconds)).toEqual([1, 0.5])
})

test('changes from before we ran, and slices that do not say when, are not counted', () => {
  const { latency: tracker } = latency()
  tracker.sliceChanged('ns/web-1', 4, 99_999)
  tracker.sliceChanged('ns/web-2', 4, undefined)
  expect(tracker.take().size).toBe(0)
})
