import { expect, test } from 'vitest'
import { Denials } from './denials.ts'
import { ScratchCluster, wired } from './scratch-cluster.ts'
import { type Subject, Subjects } from './subjects.ts'

function subjects(cluster: ScratchCluster): readonly Subject[] {
  const { pods, policies } = cluster.snapshots
  return new Subjects().update([wired('shop/db', '10.244.1.6', 'fd00::6')], pods, policies)
}

const counts = (four: number, six = 0) =>
  new Map([
    ['denied-ingress4', new Map([['10.244.1.6', four]])],
    ['denied-ingress6', new Map([['fd00::6', six]])],
  ])

test('counts add up over addresses, over sets that were written anew, and by what the pod is under', () => {
  const denials = new Denials()
  const cluster = new ScratchCluster()
    .pod('shop/db', {})
    .policy('shop/a', { podSelector: {} })
    .policy('shop/b', { podSelector: {}, ingress: [] })
  denials.note(counts(5, 1), subjects(cluster))
  denials.note(counts(7, 1), subjects(cluster))
  // Begun anew.
  denials.note(counts(2, 0), subjects(cluster))
  expect(denials.readings).toEqual([
    { direction: 'ingress', namespace: 'shop', pod: 'db', policies: ['a', 'b'], packets: 10 },
  ])
  // Nothing was seen of the sets: what was counted stays.
  denials.note(new Map(), subjects(cluster))
  denials.note(counts(3, 0), subjects(cluster.remove('policies', 'shop/b')))
  expect(denials.readings).toEqual([
    { direction: 'ingress', namespace: 'shop', pod: 'db', policies: ['a'], packets: 1 },
  ])
  denials.note(new Map(), subjects(cluster.remove('policies', 'shop/a')))
  expect(denials.readings).toEqual([])
})

test("packets of a pod that is held are nobody's", () => {
  const denials = new Denials()
  denials.note(counts(4), subjects(new ScratchCluster().policy('shop/a', { podSelector: {} })))
  expect(denials.readings).toEqual([
    { direction: 'ingress', namespace: 'shop', pod: 'db', policies: undefined, packets: 4 },
  ])
})
