import { expect, test } from 'vitest'
import { projectNode } from '../cluster/project-node.ts'
import { parseCidr } from '../net/cidr.ts'
import { clashProblems, failureProblems, poolProblems } from './node-events.ts'

const node = projectNode({ metadata: { name: 'n1', uid: 'u1' } }, () => undefined)[1]
const pool = (size: number, used: number) => ({ podCidr: parseCidr('10.244.1.0/26'), size, used, resting: 0 })

test.each([
  [61, 54, undefined],
  [61, 55, 'PodAddressesNearlyExhausted'],
  [61, 60, 'PodAddressesNearlyExhausted'],
  [61, 61, 'PodAddressesExhausted'],
  [2 ** 64, 250, undefined],
])('of %i addresses %i in use: %s', (size, used, reason) => {
  expect(poolProblems(node, [pool(size, used)]).map(({ event }) => event?.reason)).toEqual(
    reason === undefined ? [] : [reason],
  )
})

test('says the same of a pool for as long as it is nearly full', () => {
  expect(poolProblems(node, [pool(61, 55)])).toEqual(poolProblems(node, [pool(61, 60)]))
  expect(poolProblems(node, [pool(61, 55)])).toEqual([
    {
      sentence:
        'Less than a tenth of the addresses are free in podCIDR 10.244.1.0/26 of node n1; lower maxPods of its kubelet, or give it a larger podCIDR',
      reason: 'pool-nearly-full',
      event: {
        regarding: { apiVersion: 'v1', kind: 'Node', name: 'n1', uid: 'u1' },
        reason: 'PodAddressesNearlyExhausted',
        action: 'AllocatePodAddress',
      },
    },
  ])
})

test('a node that claims what another has is named, and not one that has only just come', () => {
  const at = (name: string, podCIDRs: readonly string[]) =>
    projectNode(
      {
        metadata: { name, uid: `uid-${name}` },
        spec: { podCIDRs },
        status: { addresses: [{ type: 'InternalIP', address: '192.168.0.21' }] },
      },
      () => undefined,
    )
  const leftOut = ['fresh', 'double', 'gone'].map((name) => ({ name, problem: `Node ${name} is left out` }))
  expect(clashProblems(new Map([at('fresh', []), at('double', ['10.244.2.0/24'])]), leftOut)).toEqual([
    {
      sentence: 'Node double is left out',
      reason: 'node-left-out',
      event: {
        regarding: { apiVersion: 'v1', kind: 'Node', name: 'double', uid: 'uid-double' },
        reason: 'NodeLeftOut',
        action: 'ConnectNode',
        everyNode: true,
      },
    },
  ])
})

test('what fails is an Event of the Node', () => {
  expect(failureProblems(node, ['rules could not be written'])).toEqual([
    {
      sentence: 'rules could not be written',
      reason: 'not-in-force',
      event: {
        regarding: { apiVersion: 'v1', kind: 'Node', name: 'n1', uid: 'u1' },
        reason: 'NetworkNotInForce',
        action: 'ProgramNode',
      },
    },
  ])
})
