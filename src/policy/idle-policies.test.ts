import { expect, test } from 'vitest'
import { parseLabelSelector } from '../cluster/label-selector.ts'
import type { ClusterNetworkPolicy } from '../cluster/network-policy.ts'
import type { ClusterPod } from '../cluster/pod.ts'
import { idlePolicies } from './idle-policies.ts'

const web: ClusterPod = {
  namespace: 'shop',
  name: 'web',
  uid: '1',
  node: 'a',
  phase: 'Running',
  hostNetwork: false,
  netAdmin: false,
  addresses: [],
  labels: { app: 'web' },
  ports: [{ name: 'http', protocol: 'tcp', port: 8080 }],
}
const db: ClusterPod = {
  ...web,
  namespace: 'data',
  name: 'db',
  labels: { app: 'db' },
  ports: [{ name: 'sql', protocol: 'tcp', port: 5432 }],
}
const policy: ClusterNetworkPolicy = {
  namespace: 'shop',
  name: 'p',
  podSelector: parseLabelSelector({ matchLabels: { app: 'web' } }),
  ingress: [{ peers: undefined, ports: [{ protocol: 'tcp', name: 'http' }] }],
  egress: [{ peers: undefined, ports: [{ protocol: 'tcp', name: 'sql' }] }],
}

const problems = (change: Partial<ClusterNetworkPolicy>, pods: readonly ClusterPod[] = [web, db]) =>
  idlePolicies([{ ...policy, ...change }], pods).map(({ problem }) => problem)

test('a policy that selects pods and names ports they have is no problem', () => {
  expect(problems({})).toEqual([])
  expect(
    problems({ ingress: undefined, egress: [{ peers: undefined, ports: [{ protocol: 'tcp', first: 1, last: 2 }] }] }),
  ).toEqual([])
})

test('one that selects no pod that it can protect is told of', () => {
  const none = ['NetworkPolicy shop/p selects no pod']
  expect(problems({ podSelector: parseLabelSelector({ matchLabels: { app: 'wbe' } }) })).toEqual(none)
  expect(problems({}, [{ ...web, namespace: 'other' }, db])).toEqual(none)
  expect(problems({}, [{ ...web, hostNetwork: true }, db])).toEqual(none)
  expect(problems({}, [{ ...web, phase: 'Succeeded' }, db])).toEqual(none)
})

test('a port counts on the side of the rule that it is for, with its protocol', () => {
  expect(problems({}, [web])).toEqual([expect.stringMatching(/names port sql\/tcp, which no pod/)])
  expect(problems({ ingress: [{ peers: undefined, ports: [{ protocol: 'tcp', name: 'sql' }] }] })).toEqual([
    expect.stringMatching(/names port sql\/tcp/),
  ])
  expect(problems({ ingress: [{ peers: undefined, ports: [{ protocol: 'udp', name: 'http' }] }] })).toEqual([
    expect.stringMatching(/names port http\/udp/),
  ])
})
