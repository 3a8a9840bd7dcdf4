import { expect, test } from 'vitest'
import type { Problem } from '../cluster/problem.ts'
import { StandingEvents } from './standing-events.ts'

const regarding = { apiVersion: 'v1', kind: 'Service', namespace: 'shop', name: 'web', uid: 'u1' }
const problem = (sentence: string): Problem => ({
  sentence,
  reason: 'external-ip-taken',
  event: { regarding, reason: 'ExternalIPTaken', action: 'ProgramService' },
})

test('records a problem when it appears, every 20 minutes while it lasts, and when it comes back', () => {
  let now = 0
  const recorded: string[] = []
  const standing = new StandingEvents({ record: ({ note }) => recorded.push(note) }, { now: () => now })
  const say = (at: number, ...sentences: string[]): string[] => {
    now = at
    standing.say('services', sentences.map(problem))
    return recorded.splice(0)
  }
  expect(say(0, 'a', 'b')).toEqual(['a', 'b'])
  expect(say(1_199_999, 'a', 'b', 'c')).toEqual(['c'])
  expect(say(1_200_000, 'a', 'b', 'c')).toEqual(['a', 'b'])
  expect(say(1_200_001, 'b')).toEqual([])
  expect(say(1_200_002, 'a', 'b')).toEqual(['a'])
})

test('keeps topics apart, and passes over what has no Event', () => {
  const recorded: unknown[] = []
  const standing = new StandingEvents({ record: (event) => recorded.push(event) }, { now: () => 0 })
  standing.say('services', [problem('a'), { sentence: 'nobody is to blame', reason: 'none' }])
  standing.say('node', [problem('a')])
  expect(recorded).toEqual([
    { regarding, type: 'Warning', reason: 'ExternalIPTaken', action: 'ProgramService', note: 'a' },
    { regarding, type: 'Warning', reason: 'ExternalIPTaken', action: 'ProgramService', note: 'a' },
  ])
})
