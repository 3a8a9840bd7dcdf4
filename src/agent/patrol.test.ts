import { expect, test } from 'vitest'
import { patrol } from './patrol.ts'

/** Runs the patrol on a clock of its own and answers the waits between looks. */
async function waitsOf(
  looks: readonly { fine: boolean; ms?: number }[],
): Promise<{ waits: number[]; damages: number }> {
  const waits: number[] = []
  let damages = 0
  let now = 0
  const stop = new AbortController()
  const left = [...looks]
  const clock = { now: () => now, sleep: async (ms: number) => void (waits.push(ms), (now += ms)) }
  const look = async (): Promise<boolean> => {
    const { fine, ms = 1 } = left.shift() ?? { fine: true }
    now += ms
    if (left.length === 0) stop.abort()
    return fine
  }
  await patrol({ look, onDamage: () => damages++, shortestMs: 2000, longestMs: 15_000, clock }, stop.signal)
  return { waits, damages }
}

test('looks every 2 s, and says what is damaged', async () => {
  expect(await waitsOf([{ fine: true }, { fine: false }, { fine: true }])).toEqual({
    waits: [2000, 2000, 2000],
    damages: 1,
  })
})

test('what costs more is looked at less often, though as often as everything is', async () => {
  expect((await waitsOf([{ fine: true, ms: 50 }, { fine: true, ms: 900 }, { fine: true }])).waits).toEqual([
    2000, 5000, 5000,
  ])
  expect((await waitsOf([{ fine: true, ms: 900 }, { fine: true, ms: 10 }, { fine: true }])).waits).toEqual([
    2000, 15_000, 2000,
  ])
})

test('what stays damaged after it was told of is no reason to hurry', async () => {
  expect(
    await waitsOf([{ fine: false }, { fine: false }, { fine: false }, { fine: false }, { fine: true }, { fine: true }]),
  ).toEqual({ waits: [2000, 2000, 4000, 8000, 15_000, 2000], damages: 4 })
})

test('a look that throws ends it', async () => {
  await expect(
    patrol(
      {
        look: () => Promise.reject(new Error('another agent')),
        onDamage: () => undefined,
        shortestMs: 1,
        longestMs: 1,
      },
      new AbortController().signal,
    ),
  ).rejects.toThrow('another agent')
})
