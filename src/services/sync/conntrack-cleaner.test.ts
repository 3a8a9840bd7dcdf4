import { pino } from 'pino'
import { expect, test } from 'vitest'
import type { ConntrackFilter } from '../../kernel/conntrack.ts'
import { parseAddress } from '../../net/address.ts'
import { ConntrackCleaner } from './conntrack-cleaner.ts'

const [one, two] = [{ endpoint: parseAddress('10.1.0.1') }, { endpoint: parseAddress('10.1.0.2') }]

function cleaner(refuse: ReadonlySet<ConntrackFilter> = new Set()) {
  const deleted: ConntrackFilter[] = []
  const deleteUdpConntrack = (_: unknown, filter: ConntrackFilter) => {
    deleted.push(filter)
    return refuse.has(filter) ? Promise.reject(new Error('no')) : Promise.resolve(3)
  }
  const counted: number[] = []
  const observe = { conntrackCleaned: (_: unknown, __: unknown, entries: number) => void counted.push(entries) }
  return {
    deleted,
    counted,
    cleaner: new ConntrackCleaner({ kernel: { deleteUdpConntrack }, observe, log: pino({ level: 'silent' }) }),
  }
}

test('a sync that leaves nothing stale keeps none of the later ones from being carried out', async () => {
  const { deleted, cleaner: work } = cleaner()
  work.forget(4, [])
  work.forget(4, [one])
  await work.idle()
  work.forget(4, [])
  work.forget(4, [two])
  await work.idle()
  expect(deleted).toEqual([one, two])
})

test('what is asked for twice before its turn is done once, and one that fails holds up no other', async () => {
  const { deleted, counted, cleaner: work } = cleaner(new Set([one]))
  work.forget(4, [one, two])
  work.forget(4, [two])
  await work.idle()
  expect(deleted).toEqual([one, two])
  expect(counted).toEqual([3])
})
