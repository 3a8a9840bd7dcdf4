import { expect, test } from 'vitest'
import { FakeClock } from '../../test/support/fake-clock.ts'
import { SyncLoop } from './sync-loop.ts'

/** Runs the loop until `until` holds; sleeping takes no time, a sync takes `cost` ms on the clock. */
async function run(parts: {
  cost?: number
  fails?: number
  audits?: number
  begin: (loop: SyncLoop) => void
  during?: (loop: SyncLoop, syncs: readonly number[]) => void
  until: (syncs: readonly number[]) => boolean
}) {
  const clock = new FakeClock()
  clock.random = () => 0
  const stop = new AbortController()
  const syncs: number[] = []
  const audits: number[] = []
  const errors: unknown[] = []
  let due = 5000
  const loop = new SyncLoop({
    clock,
    sync: async () => {
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
    onError: (error) => errors.push(error),
  })
  parts.begin(loop)
  await loop.run(stop.signal)
  return { syncs, audits, errors }
}

test('the first change is written at once, and a cheap sync may follow another at once', async () => {
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
])('after one of %d ms the next waits as long, a second at most', async (cost, expected) => {
  const { syncs } = await run({
    cost,
    begin: (loop) => loop.trigger(),
    during: (loop) => loop.trigger(),
    until: (done) => done.length === 3,
  })
  expect(syncs).toEqual(expected)
})

test('what fails is tried again, later each time up to 5 s, without another trigger', async () => {
  const { syncs, errors } = await run({ fails: 8, begin: (loop) => loop.trigger(), until: (done) => done.length === 9 })
  expect(syncs.map((at, i) => at - (syncs[i - 1] ?? 0))).toEqual([0, 100, 200, 400, 800, 1600, 3200, 5000, 5000])
  expect(errors).toHaveLength(8)
})

test('changes that come while one runs share the next', async () => {
  const { syncs } = await run({
    cost: 100,
    begin: (loop) => loop.trigger(),
    during: (loop, done) => done.length === 1 && [1, 2, 3].forEach(() => loop.trigger()),
    until: () => false,
    audits: 2,
  })
  expect(syncs).toEqual([0, 200])
})

test('when nothing changes it audits, as often as is due', async () => {
  const { audits } = await run({ begin: () => {}, until: () => false, audits: 3 })
  expect(audits).toEqual([5000, 10_000, 15_000])
})
