import { expect, test } from 'vitest'
import { projectNetworkPolicy, samePolicy } from './project-network-policy.ts'

function projected(spec: unknown, name = 'p') {
  const problems: string[] = []
  const [key, policy] = projectNetworkPolicy({ metadata: { namespace: 'shop', name }, spec }, (problem) =>
    problems.push(problem),
  )
  return { key, policy, problems }
}

test('keeps selectors, peers and ports of a NetworkPolicy', () => {
  const { key, policy, problems } = projected({
    podSelector: { matchLabels: { app: 'db' } },
    ingress: [
      {
        from: [
          { podSelector: {} },
          { namespaceSelector: { matchLabels: { team: 'a' } }, podSelector: { matchLabels: { app: 'web' } } },
          { ipBlock: { cidr: '10.0.0.1/8', except: ['10.1.0.0/16'] } },
        ],
        ports: [{ port: 80, endPort: 90 }, { protocol: 'UDP', port: 'dns' }, { protocol: 'SCTP' }],
      },
    ],
    egress: [{}],
  })
  expect([key, problems]).toEqual(['shop/p', []])
  expect(policy).toEqual({
    namespace: 'shop',
    name: 'p',
    podSelector: [{ key: 'app', operator: 'In', values: ['db'] }],
    ingress: [
      {
        peers: [
          { namespaces: undefined, pods: [] },
          {
            namespaces: [{ key: 'team', operator: 'In', values: ['a'] }],
            pods: [{ key: 'app', operator: 'In', values: ['web'] }],
          },
          {
            cidr: { family: 4, network: '10.0.0.0', prefix: 8 },
            except: [{ family: 4, network: '10.1.0.0', prefix: 16 }],
          },
        ],
        ports: [
          { protocol: 'tcp', first: 80, last: 90 },
          { protocol: 'udp', name: 'dns' },
          { protocol: 'sctp', first: 0, last: 65_535 },
        ],
      },
    ],
    egress: [{ peers: undefined, ports: undefined }],
  })
})

test.each([
  ['an empty spec', {}, [], undefined],
  ['Egress alone', { policyTypes: ['Egress'] }, undefined, []],
  ['empty lists, which deny', { podSelector: {}, ingress: [], egress: [], policyTypes: ['Ingress', 'Egress'] }, [], []],
  ['a null list, which denies', { podSelector: {}, ingress: null, policyTypes: ['Ingress'] }, [], undefined],
  ['egress rules without a type', { egress: [{}] }, [], [{ peers: undefined, ports: undefined }]],
  ['egress rules with the type Ingress', { egress: [{}], policyTypes: ['Ingress'] }, [], undefined],
  [
    'null and empty peers, which allow everything',
    { ingress: [{ from: null, ports: [] }] },
    [{ peers: undefined, ports: undefined }],
    undefined,
  ],
])('applies directions and defaults to %s', (_, spec, ingress, egress) => {
  const { policy, problems } = projected(spec)
  expect([policy.podSelector, policy.ingress, policy.egress, problems]).toEqual([[], ingress, egress, []])
})

const good = { podSelector: { matchLabels: { app: 'web' } } }

test.each([
  [
    'endPort without a port',
    { ports: [{ endPort: 90 }] },
    'ports',
    'spec.ingress[0].ports[1] admits nothing: Expected endPort to come with a port number',
  ],
  [
    'endPort with a name',
    { ports: [{ port: 'http', endPort: 90 }] },
    'ports',
    'Expected endPort to come with a port number, got `http`',
  ],
  [
    'endPort below the port',
    { ports: [{ port: 80, endPort: 79 }] },
    'ports',
    'Expected endPort to be 80 or more, got `79`',
  ],
  ['a port out of range', { ports: [{ port: 65_536 }] }, 'ports', 'Expected a port from 1 to 65535'],
  ['an invalid port name', { ports: [{ port: 'Not a name' }] }, 'ports', 'Expected the name of a port'],
  ['a number as a port name', { ports: [{ port: '80' }] }, 'ports', 'Expected the name of a port'],
  [
    'an unsupported protocol',
    { ports: [{ protocol: 'ICMP' }] },
    'ports',
    'Expected the protocol TCP, UDP or SCTP, got `ICMP`',
  ],
  ['a null port', { ports: [null] }, 'ports', 'Expected fields, got `null`'],
  [
    'an except block outside the block',
    { from: [{ ipBlock: { cidr: '10.0.0.0/8', except: ['11.0.0.0/16'] } }] },
    'peers',
    'spec.ingress[0].from[1] admits nothing: Expected except to be blocks within 10.0.0.0/8, got `11.0.0.0/16`',
  ],
  [
    'an except block of another family',
    { from: [{ ipBlock: { cidr: '10.0.0.0/8', except: ['fd00::/64'] } }] },
    'peers',
    'Expected except to be blocks within',
  ],
  [
    'an except block as large as the block',
    { from: [{ ipBlock: { cidr: '10.0.0.0/8', except: ['10.0.0.0/8'] } }] },
    'peers',
    'Expected except to be blocks within',
  ],
  [
    'an invalid block',
    { from: [{ ipBlock: { cidr: 'everywhere' } }] },
    'peers',
    'Expected an IP address, got `everywhere`',
  ],
  [
    'a block and a selector',
    { from: [{ ipBlock: { cidr: '10.0.0.0/8' }, podSelector: {} }] },
    'peers',
    'Expected ipBlock alone',
  ],
  ['an empty peer', { from: [{}] }, 'peers', 'Expected podSelector, namespaceSelector or ipBlock'],
  [
    'an unknown operator',
    { from: [{ podSelector: { matchExpressions: [{ key: 'a', operator: 'Gt', values: ['1'] }] } }] },
    'peers',
    'Expected the operator In, NotIn, Exists or DoesNotExist, got `Gt`',
  ],
] as const)('lets %s allow nothing, and keeps the part beside it', (_, bad, field, sentence) => {
  const beside = { from: [good], ports: [{ port: 80 }] }
  const merged = {
    from: [...beside.from, ...('from' in bad ? bad.from : [])],
    ports: [...beside.ports, ...('ports' in bad ? bad.ports : [])],
  }
  const { policy, problems } = projected({ ingress: [merged] })
  expect(policy.ingress?.[0]?.peers).toHaveLength(1)
  expect(policy.ingress?.[0]?.ports).toHaveLength(1)
  expect(problems).toEqual([expect.stringContaining(sentence)])
  expect(problems[0]).toMatch(/^NetworkPolicy shop\/p: /)
  // Without other items it must not become an empty list in the object's sense, which would allow everything.
  expect(projected({ ingress: [bad] }).policy.ingress).toEqual([expect.objectContaining({ [field]: [] })])
})

test('widens a podSelector with an invalid requirement, and then allows nothing', () => {
  const { policy, problems } = projected({
    podSelector: { matchLabels: { app: 'web' }, matchExpressions: [{ key: 'a', operator: 'Gt' }] },
    ingress: [{}],
    egress: [{}],
  })
  expect(policy).toMatchObject({ podSelector: [{ key: 'app' }], ingress: [], egress: [] })
  expect(problems).toEqual([
    expect.stringContaining(
      'spec.podSelector selects all pods that match its other requirements, and the policy admits nothing: ' +
        'Expected the operator',
    ),
  ])
})

test.each([
  ['an invalid name', 'a"} accept', { ingress: [{}] }, { ingress: [] }, 'metadata.name makes the policy admit nothing'],
  [
    'an unknown policy type',
    'p',
    { policyTypes: ['Sideways'] },
    { ingress: [], egress: [] },
    'spec.policyTypes is read as Ingress and Egress: Expected Ingress or Egress, got `Sideways`',
  ],
  [
    'rules that are not a list',
    'p',
    { podSelector: { matchLabels: { app: 'db' } }, ingress: 'all' },
    { podSelector: [], ingress: [], egress: [] },
    'spec isolates every pod of the namespace: Expected a list, got `all`',
  ],
  [
    'a spec that is not an object',
    'p',
    7,
    { podSelector: [], ingress: [], egress: [] },
    'spec isolates every pod of the namespace: Expected fields, got `7`',
  ],
])('denies because of %s', (_, name, spec, expected, sentence) => {
  const { policy, problems } = projected(spec, name)
  expect(policy).toMatchObject(expected)
  expect(problems).toEqual([expect.stringContaining(sentence)])
})

test('compares ports, but not the order of labels', () => {
  const policy = (port: number, labels: object) =>
    projected({ podSelector: { matchLabels: labels }, ingress: [{ ports: [{ port }] }] }).policy
  expect(samePolicy(policy(80, { a: '1', b: '2' }), policy(80, { b: '2', a: '1' }))).toBe(true)
  expect(samePolicy(policy(80, {}), policy(81, {}))).toBe(false)
})
