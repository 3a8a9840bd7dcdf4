import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { DeploymentView } from './deployment-view.ts'
import type { PodView } from './pod-view.ts'
import { nextStep, templateHashLabel } from './rollout.ts'
import { deploymentView, podView } from '../../../test/support/controller-views.ts'

const podOf = (name: string, hash: string, fields: Partial<PodView> = {}): PodView =>
  podView(name, { labels: { [templateHashLabel]: hash }, ready: true, nodeName: 'node1', ...fields })
const namesOf = (pods: Iterable<{ name: string }>): Set<string> => new Set([...pods].map(({ name }) => name))

/** Returns the pods after a step, as the API server and the kubelets carry it out. */
function carryOut(deployment: DeploymentView, pods: readonly PodView[]): PodView[] {
  const { create, remove } = nextStep(deployment, pods, namesOf(pods))
  return [
    ...pods.filter((pod) => !remove.includes(pod)).map((pod) => ({ ...pod, ready: true })),
    ...create.map((name) => podOf(name, deployment.templateHash, { ready: false })),
  ]
}

test('creates missing pods, with the same names on an outdated snapshot', () => {
  const deployment = deploymentView()
  const { create } = nextStep(deployment, [], new Set())
  expect(new Set(create).size).toBe(3)
  expect(nextStep(deployment, [], new Set()).create).toEqual(create)
  // A pod that is being deleted still has its name.
  const pods = create.map((name) => podOf(name, 'new'))
  const leaving = pods.map((pod, i) => ({ ...pod, deleted: i === 0 }))
  const [replacement] = nextStep(deployment, leaving, namesOf(leaving)).create
  expect(create).not.toContain(replacement)
})

test('removes the least useful of surplus pods', () => {
  const pods = [
    podOf('a', 'new', { nodeName: 'node2' }),
    podOf('b', 'new'),
    podOf('c', 'new'),
    podOf('waiting', 'new', { nodeName: '', ready: false }),
  ]
  const { remove } = nextStep(deploymentView({ replicas: 2 }), pods, namesOf(pods))
  expect(remove.map(({ name }) => name)).toEqual(['waiting', 'b'])
})

test('replaces a finished pod', () => {
  const pods = [podOf('a', 'new', { finished: true })]
  expect(nextStep(deploymentView({ replicas: 1 }), pods, namesOf(pods)).create).toHaveLength(1)
})

test('keeps to the limits of a rolling update at every step, and ends with new pods only', () => {
  const numbers = fc.record({
    replicas: fc.integer({ min: 0, max: 8 }),
    maxSurge: fc.integer({ min: 0, max: 3 }),
    maxUnavailable: fc.integer({ min: 0, max: 3 }),
    before: fc.integer({ min: 0, max: 8 }),
  })
  fc.assert(
    fc.property(
      numbers.filter(({ maxSurge, maxUnavailable }) => maxSurge + maxUnavailable > 0),
      ({ replicas, maxSurge, maxUnavailable, before }) => {
        const deployment = deploymentView({ replicas, maxSurge, maxUnavailable })
        let pods = Array.from({ length: before }, (_, i) => podOf(`old-${i}`, 'old'))
        const atLeast = Math.min(before, replicas - maxUnavailable)
        for (let step = 0; step < 40; step++) {
          const next = carryOut(deployment, pods)
          if (
            next.length > Math.max(pods.length, replicas + maxSurge) ||
            next.filter(({ ready }) => ready).length < atLeast
          )
            return false
          pods = next
        }
        return pods.length === replicas && pods.every((pod) => pod.labels[templateHashLabel] === 'new')
      },
    ),
  )
})

test('waits until the last old pod is gone (Recreate)', () => {
  const deployment = deploymentView({ recreate: true })
  const old = [podOf('a', 'old'), podOf('b', 'old')]
  expect(nextStep(deployment, old, namesOf(old))).toMatchObject({ create: [], remove: old })
  const leaving = old.map((pod) => ({ ...pod, deleted: true }))
  expect(nextStep(deployment, leaving, namesOf(leaving))).toMatchObject({ create: [], remove: [] })
  expect(nextStep(deployment, [], new Set()).create).toHaveLength(3)
})

test('counts pods in the status', () => {
  const pods = [
    podOf('a', 'new'),
    podOf('b', 'new', { ready: false }),
    podOf('c', 'old'),
    podOf('d', 'old', { deleted: true }),
  ]
  expect(nextStep(deploymentView({ generation: 4 }), pods, namesOf(pods)).status).toEqual({
    observedGeneration: 4,
    replicas: 3,
    updatedReplicas: 2,
    readyReplicas: 2,
    availableReplicas: 2,
    unavailableReplicas: 1,
  })
})
