import { expect, test } from 'vitest'
import type { ContainerState } from './container.ts'
import { projectPodManifest } from './pod-manifest.ts'
import { podStatusOf, type PodFacts } from './pod-status.ts'

const [, pod] = projectPodManifest({
  metadata: { namespace: 'ns', name: 'a', uid: 'u' },
  spec: { containers: [{ name: 'c' }] },
})
const facts: PodFacts = {
  pod,
  nodeAddress: '192.168.0.21',
  addresses: ['172.30.1.2'],
  containers: [],
  problem: undefined,
  startTime: 0,
  now: 5000,
}
const running: ContainerState = {
  name: 'c',
  ready: true,
  restarts: 0,
  current: { kind: 'running', startedAt: 1000 },
  last: undefined,
  finished: false,
}
const ended = (exitCode: number, finished: boolean): ContainerState => ({
  ...running,
  ready: false,
  current: { kind: 'terminated', exitCode, startedAt: 0, finishedAt: 0 },
  finished,
})

test.each<[string, readonly ContainerState[]]>([
  ['Pending', []],
  ['Pending', [{ ...running, current: { kind: 'waiting', reason: 'ContainerCreating' } }, running]],
  ['Running', [running]],
  ['Running', [running, ended(1, true)]],
  ['Running', [{ ...running, restarts: 3, current: { kind: 'waiting', reason: 'CrashLoopBackOff' } }]],
  ['Succeeded', [ended(0, true), ended(0, true)]],
  ['Failed', [ended(0, true), ended(2, true)]],
])('computes the phase %s', (phase, containers) => {
  expect(podStatusOf({ ...facts, containers }, []).phase).toBe(phase)
})

test('keeps the transition time of an unchanged condition, and sets that of a changed one', () => {
  const first = podStatusOf({ ...facts, addresses: [], problem: 'no addresses left' }, []).conditions
  const second = podStatusOf({ ...facts, containers: [running], now: 9000 }, first).conditions
  const timeOf = (conditions: typeof first, type: string) => conditions.find((condition) => condition.type === type)
  expect(timeOf(first, 'PodReadyToStartContainers')).toMatchObject({ status: 'False', message: 'no addresses left' })
  expect(timeOf(second, 'PodScheduled')?.lastTransitionTime).toBe('1970-01-01T00:00:05Z')
  expect(timeOf(second, 'Ready')).toEqual({ type: 'Ready', status: 'True', lastTransitionTime: '1970-01-01T00:00:09Z' })
})
