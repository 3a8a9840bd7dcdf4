import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { SliceView } from './endpoint-slice-view.ts'
import { nodeView, podView, serviceView } from '../../../test/support/controller-views.ts'
import { endpointGroups } from './service-endpoints.ts'
import { maxEndpoints, planSlices, type SlicePlan } from './slice-plan.ts'

const service = serviceView('web', { ports: [{ name: '', protocol: 'TCP', port: 80, targetPort: 'web' }] })
const nodes = new Map([['n1', nodeView('n1')]])

/** Builds groups of endpoints with port 8080, or 9090 for the numbers in `other`. */
function groupsOf(numbers: readonly number[], other: ReadonlySet<number> = new Set()) {
  const pods = numbers.map((n) =>
    podView(`p${n}`, {
      labels: { app: 'web' },
      nodeName: 'n1',
      addresses: [`172.30.${n >> 8}.${n & 255}`],
      ready: true,
      ports: [{ name: 'web', containerPort: other.has(n) ? 9090 : 8080, protocol: 'TCP' }],
    }),
  )
  return endpointGroups(service, pods, nodes)
}

/** Returns the slices after the plan was carried out. */
function carriedOut(slices: readonly SliceView[], { create, update, remove }: SlicePlan): SliceView[] {
  const changed = new Map(update.map((slice) => [slice.name, slice]))
  const kept = slices
    .filter((slice) => !remove.includes(slice))
    .map((slice) => ({ ...slice, ...changed.get(slice.name) }))
  return [
    ...kept,
    ...create.map((content) => ({ ...content, namespace: 'default', resourceVersion: '1', serviceUid: service.uid })),
  ]
}

const addressesIn = (slices: readonly SliceView[]) =>
  slices
    .flatMap(({ endpoints, ports }) => endpoints.map(({ addresses }) => `${addresses[0]}:${ports[0]?.port}`))
    .toSorted()

test('puts each endpoint into one slice with its port, without empty or overfull slices, from any state', () => {
  const numbers = fc.uniqueArray(fc.nat(350), { maxLength: 350 })
  fc.assert(
    fc.property(numbers, numbers, fc.uniqueArray(fc.nat(350)), (before, after, others) => {
      const there = carriedOut([], planSlices(service, groupsOf(before), []))
      const other = new Set(others)
      const then = carriedOut(there, planSlices(service, groupsOf(after, other), there))
      expect(addressesIn(then)).toEqual(
        after.map((n) => `172.30.${n >> 8}.${n & 255}:${other.has(n) ? 9090 : 8080}`).toSorted(),
      )
      expect(then.every(({ endpoints }) => endpoints.length > 0 && endpoints.length <= maxEndpoints)).toBe(true)
      expect(new Set(then.map(({ name }) => name)).size).toBe(then.length)
      expect(planSlices(service, groupsOf(after, other), then)).toEqual({ create: [], update: [], remove: [] })
    }),
    { numRuns: 60 },
  )
})

test('adds an endpoint to one slice with free space', () => {
  const there = carriedOut([], planSlices(service, groupsOf(Array.from({ length: 150 }, (_, n) => n)), []))
  expect(there.map(({ endpoints }) => endpoints.length)).toEqual([100, 50])
  const plan = planSlices(service, groupsOf(Array.from({ length: 151 }, (_, n) => n)), there)
  expect([
    plan.create.length,
    plan.remove.length,
    plan.update.map(({ name, endpoints }) => [name, endpoints.length]),
  ]).toEqual([0, 0, [[there[1]?.name, 51]]])
})

test('reuses the slice when its only pod is replaced', () => {
  const there = carriedOut([], planSlices(service, groupsOf([1]), []))
  const plan = planSlices(service, groupsOf([2]), there)
  expect([plan.create.length, plan.update.length, plan.remove.length]).toEqual([0, 1, 0])
})

test('chooses the same names on an outdated snapshot', () => {
  const first = planSlices(service, groupsOf([1]), [])
  expect(planSlices(service, groupsOf([1, 2]), []).create[0]?.name).toBe(first.create[0]?.name)
  expect(planSlices({ ...service, uid: 'again' }, groupsOf([1]), []).create[0]?.name).not.toBe(first.create[0]?.name)
})
