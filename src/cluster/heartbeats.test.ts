import { expect, test } from 'vitest'
import { Heartbeats } from './heartbeats.ts'

const node = (name: string, lastHeartbeatTime: unknown) => ({
  metadata: { name },
  status: { conditions: [null, { type: 'MemoryPressure' }, { type: 'Ready', lastHeartbeatTime }] },
})

test('a node is stale when its heartbeat is long before the newest of all, by whatever clock', () => {
  const heartbeats = new Heartbeats()
  const all = new Set(['a', 'b', 'c', 'd'])
  heartbeats.note(node('a', '2020-01-01T10:00:00Z'))
  heartbeats.note(node('b', '2020-01-01T10:14:00Z'))
  expect([...heartbeats.stale(all)]).toEqual([])
  heartbeats.note(node('b', '2020-01-01T10:16:00Z'))
  heartbeats.note(node('c', null))
  heartbeats.note({ metadata: { name: 'd' }, status: null })
  expect([...heartbeats.stale(all)]).toEqual(['a', 'c', 'd'])
  heartbeats.note(node('a', '2020-01-01T10:05:00Z'))
  expect([...heartbeats.stale(all)]).toEqual(['c', 'd'])
  // A Node that was deleted is no measure.
  expect([...heartbeats.stale(new Set(['a', 'c']))]).toEqual(['c'])
})

test('where no node reports heartbeats, none is stale', () => {
  const heartbeats = new Heartbeats()
  heartbeats.note({ metadata: { name: 'a' } })
  heartbeats.note(node('b', 'soon'))
  heartbeats.note({})
  expect([...heartbeats.stale(new Set(['a', 'b']))]).toEqual([])
})
