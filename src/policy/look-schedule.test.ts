import { expect, test } from 'vitest'
import { type Look, LookSchedule } from './look-schedule.ts'

interface Scene {
  readonly costs: Partial<Readonly<Record<Look, number>>>
  readonly untilMs: number
  readonly told?: boolean
  /** When another program changes something. */
  readonly disturbances?: readonly number[]
}

/** Looks as they come due, each of which takes so long; what was looked at when (ms) until then. */
async function looks({ costs, untilMs, told = false, disturbances = [] }: Scene): Promise<[string, number][]> {
  let now = 0
  const seen: [string, number][] = []
  const coming = [...disturbances]
  const schedule = new LookSchedule({ longestMs: 15_000, told: () => told, now: () => now })
  const pass = (time: number): void => {
    while ((coming[0] ?? Number.POSITIVE_INFINITY) <= time) {
      now = Math.max(now, coming.shift()!)
      schedule.disturbed()
    }
  }
  for (;;) {
    pass(Math.min(schedule.due, coming[0] ?? Number.POSITIVE_INFINITY))
    const { due } = schedule
    if (Math.min(due, coming[0] ?? Number.POSITIVE_INFINITY) > untilMs) return seen
    if (due > (coming[0] ?? Number.POSITIVE_INFINITY)) continue
    now = Math.max(now, due)
    await schedule.run(async (which) => {
      seen.push([which, now])
      now += costs[which] ?? 0
      pass(now)
    })
  }
}

const kinds = async (scene: Scene): Promise<string[]> => (await looks(scene)).map(([which]) => which)

test('everything every 1.5 s where that costs little', async () => {
  expect(await kinds({ costs: { maps: 5, whole: 10 }, untilMs: 6100 })).toEqual(['whole', 'whole', 'whole', 'whole'])
})

test('where it costs more, a hundred times as long passes; the maps are looked at meanwhile', async () => {
  expect(await kinds({ costs: { maps: 5, whole: 45 }, untilMs: 12_000 })).toEqual([
    'whole',
    'maps',
    'maps',
    'whole',
    'maps',
    'maps',
    'whole',
  ])
})

test('however much it costs, everything is looked at each resync', async () => {
  expect(
    (await kinds({ costs: { maps: 5, whole: 2000 }, untilMs: 60_000 })).filter((which) => which === 'whole'),
  ).toHaveLength(4)
})

test('where changes are told of, what was written is looked at once, and then nothing before the resync', async () => {
  expect(await looks({ costs: { maps: 5, whole: 10 }, untilMs: 20_000, told: true })).toEqual([
    ['whole', 1500],
    ['whole', 16_510],
  ])
})

test('everything seldom where that costs much; what is counted as often as anything is read', async () => {
  const seen = await looks({ costs: { counts: 10, whole: 100 }, untilMs: 60_000, told: true })
  expect(seen).toEqual([
    ['whole', 1500],
    ['counts', 16_600],
    ['counts', 31_610],
    ['whole', 41_600],
    ['counts', 56_700],
  ])
})

test('a change that is told of is looked at at once, and one during a look after three times what that took', async () => {
  const seen = await looks({ costs: { maps: 5, whole: 500 }, untilMs: 10_000, told: true, disturbances: [5000, 5100] })
  expect(seen).toEqual([
    ['whole', 1500],
    ['whole', 5000],
    ['whole', 7000],
  ])
})

test('a look that fails has seen nothing', async () => {
  let now = 0
  const schedule = new LookSchedule({ longestMs: 15_000, told: () => true, now: () => now })
  now = 1500
  await schedule.run(() => Promise.resolve())
  schedule.disturbed()
  now = schedule.due
  await expect(schedule.run(() => Promise.reject(new Error('no')))).rejects.toThrow('no')
  expect(schedule.due - now).toBe(300)
})
