import { expect, test } from 'vitest'
import { Placements } from './placement.ts'
import { nodeView, podView } from '../../../test/support/controller-views.ts'

const owner = { kind: 'Deployment', uid: 'web' }

test('spreads pods of one owner before it evens out the number of pods', () => {
  const crowd = Array.from({ length: 5 }, (_, i) => ({ pod: podView(`other-${i}`), node: 'node2' }))
  const placements = new Placements(
    [nodeView('node1'), nodeView('node2')],
    [...crowd, { pod: podView('web-0', { owner }), node: 'node1' }],
  )
  expect(placements.place(podView('web-1', { owner }))).toEqual({ node: 'node2' })
  expect(placements.place(podView('lonely'))).toEqual({ node: 'node1' })
})

test('counts a placed pod at once', () => {
  const placements = new Placements(
    ['node1', 'node2', 'node3'].map((name) => nodeView(name)),
    [],
  )
  const chosen = Array.from({ length: 6 }, (_, i) => placements.place(podView(`web-${i}`, { owner })))
  expect(chosen).toEqual(['node1', 'node2', 'node3', 'node1', 'node2', 'node3'].map((node) => ({ node })))
})

test('requires a node that is ready, schedulable, selected and not full', () => {
  const labels = { disk: 'ssd' }
  const nodes = [
    nodeView('down', { ready: false, labels }),
    nodeView('cordoned', { unschedulable: true, labels }),
    nodeView('hdd'),
    nodeView('full', { podCapacity: 0, labels }),
  ]
  const pod = podView('p', { nodeSelector: labels })
  expect(new Placements(nodes, []).place(pod)).toEqual({
    reason:
      '0/4 nodes are available: 1 node(s) were unschedulable, 1 node(s) were not ready, ' +
      "1 Too many pods, 1 node(s) didn't match Pod's node affinity/selector.",
  })
  expect(new Placements([...nodes, nodeView('good', { labels })], []).place(pod)).toEqual({ node: 'good' })
})
