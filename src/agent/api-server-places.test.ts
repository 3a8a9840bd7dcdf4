import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { FakeClock } from '../../test/support/fake-clock.ts'
import { ApiServerPlaces } from './api-server-places.ts'

const log = { debug: () => undefined }

test('addresses are known at once, names once they are looked up, and again every minute', async () => {
  const answers: (readonly string[] | Error)[] = [['192.168.0.10', 'fd00::10'], new Error('SERVFAIL'), ['192.168.0.12']]
  const clock = new FakeClock()
  const places = new ApiServerPlaces({
    api: { places: ['https://192.168.0.9:6443', 'https://api.example'] },
    log,
    clock,
    lookUp: async (name) => {
      expect(name).toBe('api.example')
      const answer = answers.shift()
      if (answer === undefined || answer instanceof Error) throw answer ?? new Error('away')
      return answer
    },
  })
  const seen: string[] = []
  places.onChange(() => seen.push(places.places.map(({ address, port }) => `${address} ${port}`).join(', ')))
  expect(places.places).toEqual([{ address: '192.168.0.9', port: 6443 }])
  const stop = new AbortController()
  const running = places.run(stop.signal)
  await places.whenKnown
  while (answers.length > 0) await setImmediate()
  for (let i = 0; i < 5; i++) await setImmediate()
  stop.abort()
  await running
  // A failed look-up forgets nothing.
  expect(seen).toEqual(['192.168.0.9 6443, 192.168.0.10 443, fd00::10 443', '192.168.0.9 6443, 192.168.0.12 443'])
  expect(new Set(clock.sleeps)).toEqual(new Set([60_000]))
})

test('a name that is never found holds nothing up', async () => {
  const places = new ApiServerPlaces({
    api: { places: ['https://api.example'] },
    log,
    clock: new FakeClock(),
    lookUp: async () => {
      throw new Error('ENOTFOUND')
    },
  })
  const stop = new AbortController()
  const running = places.run(stop.signal)
  await places.whenKnown
  expect(places.places).toEqual([])
  stop.abort()
  await running
})
