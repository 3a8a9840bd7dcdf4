import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type ClusterEvent, eventBody, eventName } from './event.ts'

const reporter = { controller: 'fairlead.dev/agent', instance: 'node1' }
const event: ClusterEvent = {
  regarding: { apiVersion: 'v1', kind: 'Service', namespace: 'shop', name: 'web', uid: 'u1' },
  type: 'Warning',
  reason: 'ExternalIPTaken',
  action: 'ProgramService',
  note: 'Service shop/web does not get it',
}
const dnsSubdomain = /^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/

test('writes every field that events.k8s.io/v1 asks for', () => {
  const at = Date.UTC(2026, 0, 2, 3, 4, 5, 6)
  expect(eventBody(event, reporter, at, undefined)).toEqual({
    apiVersion: 'events.k8s.io/v1',
    kind: 'Event',
    metadata: { name: eventName(event, reporter), namespace: 'shop' },
    eventTime: '2026-01-02T03:04:05.006000Z',
    type: 'Warning',
    reason: 'ExternalIPTaken',
    action: 'ProgramService',
    note: 'Service shop/web does not get it',
    regarding: { apiVersion: 'v1', kind: 'Service', namespace: 'shop', name: 'web', uid: 'u1' },
    reportingController: 'fairlead.dev/agent',
    reportingInstance: 'node1',
  })
  expect(eventBody(event, reporter, at, { count: 2, lastObservedAt: at + 1 })).toMatchObject({
    series: { count: 2, lastObservedTime: '2026-01-02T03:04:05.007000Z' },
  })
})

test('keeps Events of Nodes in the namespace default', () => {
  const ofNode = { ...event, regarding: { apiVersion: 'v1', kind: 'Node', name: 'node1', uid: 'u1' } }
  expect(eventBody(ofNode, reporter, 0, undefined)).toMatchObject({ metadata: { namespace: 'default' } })
})

test('names an Event by what it says and who says it, unless every node says it', () => {
  const elsewhere = { ...reporter, instance: 'node2' }
  expect(eventName({ ...event }, reporter)).toBe(eventName(event, reporter))
  expect(eventName(event, elsewhere)).not.toBe(eventName(event, reporter))
  expect(eventName({ ...event, note: 'other' }, reporter)).not.toBe(eventName(event, reporter))
  const shared = { ...event, everyNode: true }
  expect(eventName(shared, elsewhere)).toBe(eventName(shared, reporter))
})

test('keeps names, notes and instances within the limits of the API, whatever it is given', () => {
  const label = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/)
  const name = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join('.').slice(0, 253))
  fc.assert(
    fc.property(
      name,
      fc.string({ unit: 'grapheme', maxLength: 1500 }),
      fc.string({ maxLength: 253 }),
      (of, note, by) => {
        fc.pre(dnsSubdomain.test(of))
        const regarding = { ...event.regarding, name: of }
        const body = eventBody({ ...event, regarding, note }, { ...reporter, instance: by }, 0, undefined) as {
          metadata: { name: string }
          note: string
          reportingInstance: string
        }
        expect(body.metadata.name).toMatch(dnsSubdomain)
        expect(body.metadata.name.length).toBeLessThanOrEqual(253)
        expect(Buffer.byteLength(body.note)).toBeLessThanOrEqual(1024)
        expect(note.startsWith(body.note.replace(/\.{3}$/, ''))).toBe(true)
        expect(body.reportingInstance.length).toBeLessThanOrEqual(128)
      },
    ),
  )
})
