import { afterEach, expect, test, vi } from 'vitest'
import { ReconcileLoop } from './reconcile-loop.ts'

afterEach(() => void vi.useRealTimers())

test('triggers during a pass cause exactly one more', async () => {
  const stop = new AbortController()
  const release: (() => void)[] = []
  let passes = 0
  const loop = new ReconcileLoop({
    pass: () => (passes++, new Promise((resolve) => release.push(resolve))),
    intervalMs: () => 1e6,
    onError: () => undefined,
  })
  const running = loop.run(stop.signal)
  loop.trigger()
  loop.trigger()
  release[0]?.()
  await vi.waitFor(() => expect(passes).toBe(2), 20_000)
  release[1]?.()
  await new Promise(setImmediate)
  expect(passes).toBe(2)
  stop.abort()
  await running
})

test('a pass that throws is told of and tried again', async () => {
  const stop = new AbortController()
  const errors: unknown[] = []
  let passes = 0
  const loop = new ReconcileLoop({
    pass: () => (++passes === 1 ? Promise.reject(new Error('no')) : Promise.resolve(stop.abort())),
    intervalMs: () => 1e6,
    onError: (error) => errors.push(error),
  })
  await loop.run(stop.signal)
  expect(passes).toBe(2)
  expect(errors).toEqual([new Error('no')])
})

test('the interval runs a pass though nothing happened', async () => {
  vi.useFakeTimers()
  const stop = new AbortController()
  let passes = 0
  const running = new ReconcileLoop({
    pass: () => Promise.resolve(void passes++),
    intervalMs: () => 15_000,
    onError: () => undefined,
  }).run(stop.signal)
  await vi.advanceTimersByTimeAsync(14_999)
  expect(passes).toBe(1)
  await vi.advanceTimersByTimeAsync(1)
  expect(passes).toBe(2)
  stop.abort()
  await running
})
