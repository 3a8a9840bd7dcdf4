import { expect, test } from 'vitest'
import { ProbeSchedule } from './probe-schedule.ts'

/** A schedule of pods p0, p1, ... whose first looks are done; its time. */
function settled(count: number, costMs: number): { schedule: ProbeSchedule; now: number; names: string[] } {
  const schedule = new ProbeSchedule(() => 0.5)
  const names = Array.from({ length: count }, (_, i) => `p${i}`)
  schedule.keep(new Set(names), 0)
  let now = 0
  for (let i = 0; i < count; i++) {
    const { name, due } = schedule.next!
    now = due
    schedule.probed(name, now, costMs, 'same')
  }
  return { schedule, now, names }
}

test('every pod is looked at soon after the start, one after the other', () => {
  const schedule = new ProbeSchedule(() => 0.5)
  schedule.keep(new Set(['a', 'b', 'c']), 1000)
  const first: string[] = []
  for (let i = 0; i < 3; i++) {
    const { name, due } = schedule.next!
    expect(due).toBeLessThan(2000)
    first.push(name)
    schedule.probed(name, due, 3, 'same')
  }
  expect(first).toEqual(['a', 'b', 'c'])
})

test('looks without news cost a thousandth of a core, and no pod waits less than a minute', () => {
  const few = settled(5, 3)
  expect(few.schedule.next!.due - few.now).toBeGreaterThan(55_000)
  // 110 pods of 3 ms each: a round takes 330 s.
  const { schedule, now: begin } = settled(110, 3)
  let [now, looks] = [begin, 0]
  for (; now - begin < 3_300_000; looks++) {
    const { name, due } = schedule.next!
    now = due
    schedule.probed(name, now, 3, 'same')
  }
  expect((looks * 3) / 3_300_000).toBeLessThan(0.0011)
  expect(looks).toBeGreaterThan(900)
})

test('news makes a pod due at once, and it alone', () => {
  const { schedule, now } = settled(3, 3)
  schedule.changed('p1', now + 5000)
  schedule.changed('gone', now + 5000)
  expect(schedule.next).toEqual({ name: 'p1', due: now + 5200 })
  schedule.changed('p1', now + 5100)
  expect(schedule.next).toEqual({ name: 'p1', due: now + 5200 })
})

test('a pod that is changed again and again is looked at later each time, until it has been left alone', () => {
  const { schedule, now: begin } = settled(1, 3)
  let now = begin
  const waits: number[] = []
  for (let i = 0; i < 12; i++) {
    schedule.changed('p0', now)
    waits.push(schedule.next!.due - now)
    now = schedule.next!.due
    schedule.probed('p0', now, 3, 'repaired')
  }
  expect(waits.slice(0, 4)).toEqual([200, 1000, 2000, 4000])
  expect(waits.at(-1)).toBe(300_000)
  now += 600_001
  schedule.probed('p0', now, 3, 'repaired')
  schedule.changed('p0', now)
  expect(schedule.next!.due - now).toBe(1000)
})

test('a pod whose drift stays is left alone for a minute, whatever the news', () => {
  const { schedule, now } = settled(1, 3)
  schedule.probed('p0', now, 3, 'left')
  schedule.changed('p0', now + 1)
  expect(schedule.next!.due - now).toBe(60_000)
})

test('pods that are gone are looked at no more, and news that was missed is made good', () => {
  const { schedule, now } = settled(3, 3)
  schedule.keep(new Set(['p2', 'p1']), now)
  schedule.probed('p0', now, 3, 'same')
  schedule.allChanged(now)
  expect(schedule.next!.due - now).toBeLessThan(1000)
  schedule.keep(new Set(), now)
  expect(schedule.next).toBeUndefined()
})
