import { expect, test } from 'vitest'
import { FakeClock } from '../../test/support/fake-clock.ts'
import { Loop } from './loop.ts'

/** Runs the loop until `until` holds. Sleeping takes no time; a reconcile takes `cost` ms on the clock. */
async function run(parts: {
  cost?: number
  fails?: number
  audits?: number
  interval?: number
  begin: (loop: Loop) => void
  during?: (loop: Loop, syncs: readonly number[]) => void
  until: (syncs: readonly number[]) => boolean
}) {
  const clock = new FakeClock()
  clock.random = () => 0
  const stop = new AbortController()
  const syncs: number[] = []
  const audits: number[] = []
  const errors: unknown[] = []
  let due = 5000
  const loop = new Loop({
    clock,
    reconcile: async () => {
      syncs.push(clock.time)
      clock.time += parts.cost ?? 0
      parts.during?.(loop, syncs)
      if (parts.until(syncs)) stop.abort()
      if (syncs.length <= (parts.fails ?? 0)) throw new Error('no')
    },
    audit: async () => {
      audits.push(clock.time)
      due = clock.time + 5000
      if (audits.length === parts.audits) stop.abort()
    },
    auditDue: () => due,
    ...(parts.interval === undefined ? {} : { intervalMs: () => parts.interval ?? 0 }),
    onError: (error) => errors.push(error),
  })
  parts.begin(loop)
  await loop.run(stop.signal)
  return { syncs, audits, errors }
}

test('reconciles at once after a trigger, and again at once if that was cheap', async () => {
  const { syncs } = await run({
    begin: (loop) => loop.trigger(),
    during: (loop, done) => done.length < 3 && loop.trigger(),
    until: (done) => done.length === 3,
  })
  expect(syncs).toEqual([0, 0, 0])
})

test.each([
  [300, [0, 600, 1200]],
  [4000, [0, 5000, 10_000]],
])('rests after a reconcile of %d ms for as long, a second at most', async (cost, expected) => {
  const { syncs } = await run({
    cost,
    begin: (loop) => loop.trigger(),
    during: (loop) => loop.trigger(),
    until: (done) => done.length === 3,
  })
  expect(syncs).toEqual(expected)
})

test('retries a failed reconcile without a trigger, later each time up to 5 s', async () => {
  const { syncs, errors } = await run({ fails: 8, begin: (loop) => loop.trigger(), until: (done) => done.length === 9 })
  expect(syncs.map((at, i) => at - (syncs[i - 1] ?? 0))).toEqual([0, 100, 200, 400, 800, 1600, 3200, 5000, 5000])
  expect(errors).toHaveLength(8)
})

test('serves all triggers during one reconcile with one more', async () => {
  const { syncs } = await run({
    cost: 100,
    begin: (loop) => loop.trigger(),
    during: (loop, done) => done.length === 1 && [1, 2, 3].forEach(() => loop.trigger()),
    until: () => false,
    audits: 2,
  })
  expect(syncs).toEqual([0, 200])
})

test('audits when an audit is due', async () => {
  const { audits } = await run({ begin: () => {}, until: () => false, audits: 3 })
  expect(audits).toEqual([5000, 10_000, 15_000])
})

test('reconciles again after the interval, counted from the end of the last one', async () => {
  const { syncs } = await run({
    cost: 10,
    interval: 1000,
    begin: (loop) => loop.trigger(),
    until: (done) => done.length === 3,
  })
  expect(syncs).toEqual([0, 1010, 2020])
})
