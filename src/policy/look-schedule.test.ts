import { expect, test } from 'vitest'
import { LookSchedule } from './look-schedule.ts'

/** Looks as they come due, each of which takes so long; what was looked at until then. */
async function looks(costs: Readonly<Record<'maps' | 'whole', number>>, untilMs: number): Promise<string[]> {
  let now = 0
  const seen: string[] = []
  const schedule = new LookSchedule(15_000, () => now)
  while (schedule.due <= untilMs) {
    now = schedule.due
    await schedule.run(async (which) => {
      seen.push(which)
      now += costs[which]
    })
  }
  return seen
}

test('everything every 1.5 s where that costs little', async () => {
  expect(await looks({ maps: 5, whole: 10 }, 6100)).toEqual(['whole', 'whole', 'whole', 'whole'])
})

test('where it costs more, a hundred times as long passes; the maps are looked at meanwhile', async () => {
  expect(await looks({ maps: 5, whole: 45 }, 12_000)).toEqual(['whole', 'maps', 'maps', 'whole', 'maps', 'maps', 'whole'])
})

test('however much it costs, everything is looked at each resync', async () => {
  const seen = await looks({ maps: 5, whole: 2000 }, 60_000)
  expect(seen.filter((which) => which === 'whole')).toHaveLength(4)
})
