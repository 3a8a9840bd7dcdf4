import fc from 'fast-check'
import { expect, test } from 'vitest'
import { selects } from '../cluster/label-selector.ts'
import type { LabelSelector } from '../cluster/label-selector.ts'
import type { Address } from '../net/address.ts'
import { parseAddress } from '../net/address.ts'
import { Members } from './members.ts'
import { type PodSelection, selectionIn, selectionOf } from './pod-selection.ts'
import type { PolicySnapshots } from './policies.ts'
import { ScratchCluster } from './scratch-cluster.ts'

const nobody = new Map<string, readonly Address[]>()

function selector(text: string): LabelSelector {
  return text === ''
    ? []
    : text.split(',').map((pair) => ({
        key: pair.split('=')[0]!,
        operator: pair.includes('=') ? ('In' as const) : ('DoesNotExist' as const),
        values: pair.split('=').slice(1),
      }))
}

function membersOf(members: Members, selection: PodSelection): string[] {
  return [...members.of(selection).keys()].toSorted()
}

const follow = (members: Members, ...selections: readonly PodSelection[]): void =>
  members.follow(new Map(selections.map((each) => [each.key, each])))

test('members come and go with labels, namespaces, addresses and phases', () => {
  const members = new Members()
  const web = selectionIn('shop', selector('app=web'))
  const teamA = selectionOf('shop', { namespaces: selector('team=a'), pods: [] })
  const cluster = new ScratchCluster()
    .namespace('shop', 'team=a')
    .pod('shop/w', { labels: 'app=web', address: '10.0.0.1' })
    .pod('blog/b', { address: '10.0.0.2' })
  const update = (addresses: ReadonlyMap<string, readonly Address[]> = nobody): string[][] => {
    const { pods, namespaces } = cluster.snapshots
    members.update(pods, namespaces, addresses)
    return [membersOf(members, web), membersOf(members, teamA)]
  }
  follow(members, web, teamA)
  expect(update()).toEqual([['shop/w'], ['shop/w']])
  // A namespace that is not known has no labels that could be asked for.
  cluster.namespace('blog', 'team=a')
  expect(update()).toEqual([['shop/w'], ['blog/b', 'shop/w']])
  cluster.namespace('blog', 'team=b').pod('shop/w', { labels: 'app=api', address: '10.0.0.1' })
  expect(update()).toEqual([[], ['shop/w']])
  cluster
    .pod('shop/w', { labels: 'app=web', address: '10.0.0.1', phase: 'Succeeded' })
    .pod('shop/h', { labels: 'app=web', address: '10.9.0.1', hostNetwork: true })
    .pod('shop/n', { labels: 'app=web' })
  expect(update()).toEqual([[], []])
  // We know the address of a pod of our own before the API server does.
  expect(update(new Map([['shop/n', [parseAddress('10.0.0.9')]]]))).toEqual([['shop/n'], ['shop/n']])
  expect(members.of(web).get('shop/n')?.addresses).toEqual(['10.0.0.9'])
})

test('what has not changed is the same map, and what a map said before it still says', () => {
  const members = new Members()
  const [web, api] = [selectionIn('shop', selector('app=web')), selectionIn('shop', selector('app=api'))]
  const cluster = new ScratchCluster()
    .pod('shop/w', { labels: 'app=web', address: '10.0.0.1' })
    .pod('shop/a', { labels: 'app=api', address: '10.0.0.2' })
  follow(members, web, api)
  members.update(cluster.snapshots.pods, cluster.snapshots.namespaces, nobody)
  const before = [members.of(web), members.of(api)]
  cluster.pod('shop/w2', { labels: 'app=web', address: '10.0.0.3' })
  members.update(cluster.snapshots.pods, cluster.snapshots.namespaces, nobody)
  expect(members.of(api)).toBe(before[1])
  expect([[...before[0]!.keys()], membersOf(members, web)]).toEqual([['shop/w'], ['shop/w', 'shop/w2']])
})

const namespaceName = fc.constantFrom('a', 'b', 'c')
const labels = fc.constantFrom('', 'app=x', 'app=y', 'app=x,tier=z', 'tier=z')
const podKey = fc
  .tuple(namespaceName, fc.constantFrom('p', 'q', 'r'))
  .map(([namespace, name]) => `${namespace}/${name}`)
const asked = fc.constantFrom('', 'app=x', 'app=y', 'app=x,tier', 'app', 'tier=z').map(selector)
const selection = fc.oneof(
  fc.tuple(namespaceName, asked).map(([namespace, pods]) => selectionIn(namespace, pods)),
  fc.tuple(asked, asked).map(([namespaces, pods]) => selectionOf('a', { namespaces, pods })),
)
const step = fc.oneof(
  fc.record({
    kind: fc.constant('pod' as const),
    key: podKey,
    labels,
    address: fc.constantFrom('', '10.0.0.1', '10.0.0.2'),
    phase: fc.constantFrom('Running', 'Failed'),
  }),
  fc.record({ kind: fc.constant('no pod' as const), key: podKey }),
  fc.record({ kind: fc.constant('namespace' as const), key: namespaceName, labels }),
  fc.record({ kind: fc.constant('no namespace' as const), key: namespaceName }),
  fc.record({ kind: fc.constant('follow' as const), selections: fc.array(selection, { maxLength: 5 }) }),
  fc.record({ kind: fc.constant('update' as const) }),
)

test('after any changes, in whatever portions, the members are those that a look at every pod finds', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const cluster = new ScratchCluster()
      const members = new Members()
      let followed: readonly PodSelection[] = []
      const update = (): PolicySnapshots => {
        const snapshots = cluster.snapshots
        members.update(snapshots.pods, snapshots.namespaces, nobody)
        return snapshots
      }
      for (const each of [...steps, { kind: 'update' } as const]) {
        if (each.kind === 'pod')
          cluster.pod(each.key, {
            labels: each.labels,
            phase: each.phase,
            address: each.address === '' ? [] : each.address,
          })
        else if (each.kind === 'no pod') cluster.remove('pods', each.key)
        else if (each.kind === 'namespace') cluster.namespace(each.key, each.labels)
        else if (each.kind === 'no namespace') cluster.remove('namespaces', each.key)
        else if (each.kind === 'follow') {
          // The plan of one sync follows after the members are up to date, as here.
          update()
          followed = each.selections
          follow(members, ...followed)
        } else {
          assertMembers(members, followed, update())
        }
      }
    }),
    { numRuns: 500 },
  )
})

function assertMembers(
  members: Members,
  followed: readonly PodSelection[],
  { pods, namespaces }: PolicySnapshots,
): void {
  for (const chosen of followed) expect(membersOf(members, chosen)).toEqual(bruteForce(chosen, pods, namespaces))
}

function bruteForce(
  { namespaces: asked, pods: podSelector }: PodSelection,
  pods: PolicySnapshots['pods'],
  namespaces: PolicySnapshots['namespaces'],
): string[] {
  const inScope = (namespace: string): boolean =>
    typeof asked === 'string'
      ? asked === namespace
      : namespaces.has(namespace) && selects(asked, namespaces.get(namespace)!.labels)
  return [...pods]
    .filter(
      ([, pod]) =>
        inScope(pod.namespace) &&
        selects(podSelector, pod.labels) &&
        pod.phase === 'Running' &&
        pod.addresses.length > 0,
    )
    .map(([key]) => key)
    .toSorted()
}
