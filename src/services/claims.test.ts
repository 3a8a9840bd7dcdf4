import { describe, expect, test } from 'vitest'
import { type ProtectedPort, ProtectedPorts } from '../cluster/protected-ports.ts'
import { parseAddress } from '../net/address.ts'
import { FamilyRules } from './family-rules.ts'
import { defaultOptions } from './options.ts'
import { renderSnapshot } from './render-snapshot.ts'
import { exposed, local, nodes, type Scenario, service, slice, snapshotOf } from './scenarios.ts'
import { SnapshotChanges } from './snapshot-changes.ts'
import { tableText } from './table-text.ts'

function needs(address: string | undefined, port: number, protocol: ProtectedPort['protocol'] = 'tcp'): ProtectedPorts {
  const addresses = address === undefined ? [] : [parseAddress(address)]
  return new ProtectedPorts([{ neededBy: 'the kubelet', protocol, port, addresses, onThisNode: address === undefined }])
}

function settled(scenario: Scenario, needed: ProtectedPorts) {
  const { rules, problems } = renderSnapshot({ ...snapshotOf(scenario), needed })
  return { text: tableText(rules), problems }
}

const external = /-d 192\.168\.0\.150\/32/
const loadBalancer = /-d 192\.168\.0\.200\/32/
const nodePort = /--dport 30080 /
const regarding = { apiVersion: 'v1', kind: 'Service', namespace: 'shop', name: 'web', uid: 'uid-web' }

describe.each([
  ['with endpoints', [exposed(), slice([local])]],
  // Then it is refused in table filter.
  ['without endpoints', [exposed()]],
] as const)('what nodes need is given to no Service: %s', (_, objects) => {
  test.each([
    ['external IP 192.168.0.150 with port 80/tcp', needs('192.168.0.150', 80), 'ExternalIPProtected', external],
    [
      'load balancer IP 192.168.0.200 with port 80/tcp',
      needs('192.168.0.200', 80),
      'LoadBalancerIPProtected',
      loadBalancer,
    ],
    ['node port 30080/tcp', needs(undefined, 30_080), 'NodePortProtected', nodePort],
  ])('%s', (what, needed, reason, refused) => {
    const { text, problems } = settled({ objects }, needed)
    expect(problems).toEqual([
      {
        sentence: `Service shop/web:http does not get ${what}: the kubelet needs it; give the Service another, or set protectNodeTraffic to false`,
        reason: expect.stringMatching(/^(external-ip|load-balancer|node-port)-protected$/) as string,
        event: { regarding, reason, action: 'ProgramService', everyNode: true },
      },
    ])
    expect(text).not.toMatch(refused)
    // All the rest of it is programmed.
    for (const kept of [external, loadBalancer, nodePort, /-d 10\.254\.0\.10\/32/].filter((each) => each !== refused))
      expect(text).toMatch(kept)
  })
})

test('a cluster IP is given even where a node claims to need it', () => {
  const { text, problems } = settled({ objects: [service(), slice([local])] }, needs('10.254.0.10', 80))
  expect({ problems, text }).toEqual({
    problems: [],
    text: settled({ objects: [service(), slice([local])] }, ProtectedPorts.none).text,
  })
})

test('the same for IPv6', () => {
  const objects = [exposed({ clusterIP: 'fd00:254::10', externalIPs: ['fd00::150', 'fd00::151'] }, [])]
  const { text, problems } = settled({ objects, family: 6 }, needs('fd00::150', 80))
  expect(problems).toHaveLength(1)
  expect([text.includes('fd00::150'), text.includes('fd00::151')]).toEqual([false, true])
})

test('a Service that is refused an address keeps no younger one from it', () => {
  const both = [
    exposed({ ports: [{ name: 'http', port: 80 }] }),
    service({ clusterIP: '10.254.0.11', externalIPs: ['192.168.0.150'] }, { name: 'young', createdAt: 9 }),
  ]
  expect(settled({ objects: both }, needs('192.168.0.150', 80)).problems.map(({ reason }) => reason)).toEqual([
    'external-ip-protected',
    'external-ip-protected',
  ])
})

test('Services are laid out anew when a port that one of them claims is protected, and for no other', () => {
  const { services, slices } = snapshotOf({ objects: [exposed(), slice([local])] })
  const byName = <T extends { namespace: string; name: string }>(all: Iterable<T>): Map<string, T> =>
    new Map(Array.from(all, (each) => [`${each.namespace}/${each.name}`, each]))
  const changes = new SnapshotChanges()
  const dirty = changes.take(byName(services), byName(slices))
  const wanted: string[] = []
  const rules = new FamilyRules({
    target: {
      held: () => [],
      want: (table, chains) => wanted.push(...Array.from(chains, ([chain]) => `${table} ${chain}`)),
      unwant: () => undefined,
    },
    sources: changes,
  })
  const options = { ...defaultOptions }
  const update = (keys: Iterable<string>): string[] => {
    wanted.length = 0
    for (const _ of rules.update(keys, options, nodes[4]));
    return [...wanted]
  }
  expect(update(dirty)).toContain('nat KUBE-SERVICES')
  rules.protect(needs('192.168.0.99', 80))
  expect(update([])).toEqual([])
  rules.protect(needs('192.168.0.150', 80))
  expect(update([])).toContain('nat KUBE-SERVICES')
  expect(rules.problems).toHaveLength(1)
  rules.protect(ProtectedPorts.none)
  expect(update([])).toContain('nat KUBE-SERVICES')
  expect(rules.problems).toEqual([])
})
