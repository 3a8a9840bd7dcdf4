// What policies mean while things change: connections that are open, objects that are wrong, and a node that is
// damaged.
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { agentPidFile, labNamed, namespacePath } from '../../src/lab/layout.ts'
import { describeKernel } from '../netns/scratch.ts'
import { named, namespaced, outOfXa, policy, xaFrom } from './cases/policy-case.ts'
import { outsiders } from './matrix-cells.ts'
import { hostPort } from './matrix-cluster.ts'
import { MatrixLab } from './matrix-lab.ts'
import type { NetworkPolicy, Protocol } from './network-policy.ts'
import type { Outcome, Question } from './prober.ts'

const settled = { timeout: 60_000, interval: 50 }

describeKernel('policies and what changes under them', () => {
  const lab = labNamed(`ft-flows-${process.pid}`)
  let matrix: MatrixLab
  beforeAll(async () => {
    matrix = await MatrixLab.start(lab.name)
  })
  afterEach(async () => {
    await matrix.apply()
    await matrix.settle()
  })
  afterAll(async () => await matrix[Symbol.asyncDispose]())

  const question = (from: string, to: string, protocol: Protocol = 'TCP', expected = true): Question => ({
    from,
    address: matrix.pod(to).address,
    port: 80,
    protocol,
    expected,
  })
  const put = async (...policies: NetworkPolicy[]): Promise<void> => {
    await matrix.apply(...policies)
    await matrix.settle()
  }

  // x/a is on node1 with x/c, and y/a on node2: each direction of isolation, on one node and across.
  test.each<[string, NetworkPolicy, from: string, to: string]>([
    ['into a pod, from its own node', xaFrom({ podSelector: named('b') }), 'x/c', 'x/a'],
    ['into a pod, from the other node', xaFrom({ podSelector: named('b') }), 'y/a', 'x/a'],
    ['out of a pod, on its own node', outOfXa({ egress: [{ to: [{ podSelector: named('b') }] }] }), 'x/a', 'x/c'],
    ['out of a pod, to the other node', outOfXa({ egress: [{ to: [{ podSelector: named('b') }] }] }), 'x/a', 'y/a'],
  ])(
    'an open connection obeys a policy that starts to forbid it, and no other does: %s',
    async (_, forbidding, from, to) => {
      const flows = await Promise.all(
        (['TCP', 'UDP', 'SCTP'] as const).map(
          async (protocol) => await matrix.prober.hold(question(from, to, protocol)),
        ),
      )
      const bystander = await matrix.prober.hold(question('x/b', 'x/a'))
      const back = await matrix.prober.hold(question('x/a', 'x/b'))
      expect([...flows, bystander, back].map(({ outcome }) => outcome)).toEqual([
        { open: to },
        { open: to },
        { open: to },
        { open: 'x/a' },
        { open: 'x/b' },
      ])
      await put(forbidding)
      for (const flow of flows) expect(await flow.again(false)).toBe('silent')
      expect(await bystander.again(true)).toEqual({ open: 'x/a' })
      expect(await back.again(true)).toEqual({ open: 'x/b' })
      // Nobody closed them: they go on once they are allowed. TCP sends again when it sees fit.
      await put()
      for (const flow of flows)
        await vi.waitFor(async () => expect(await flow.again(true)).toEqual({ open: to }), settled)
    },
  )

  test('answers of an open connection pass, though the pod that answers may not ask anything itself', async () => {
    const flow = await matrix.prober.hold(question('y/a', 'x/a'))
    await put(outOfXa({}))
    expect(await flow.again(true)).toEqual({ open: 'x/a' })
    expect(await matrix.prober.ask([question('x/a', 'y/a', 'TCP', false), question('y/a', 'x/a')])).toEqual([
      'silent',
      { open: 'x/a' },
    ])
  })

  test('a pod that loses its label loses what that gave it, also on a connection that is open; its namespace likewise', async () => {
    await put(
      policy('z', {
        podSelector: named('a'),
        ingress: [
          {
            from: [
              {
                namespaceSelector: { matchLabels: { team: 'blue' } },
                podSelector: { matchLabels: { role: 'client' } },
              },
            ],
          },
        ],
      }),
    )
    const [one, other] = [
      await matrix.prober.hold(question('x/b', 'z/a')),
      await matrix.prober.hold(question('y/b', 'z/a')),
    ]
    expect([one.outcome, other.outcome]).toEqual([{ open: 'z/a' }, { open: 'z/a' }])
    const { labels } = matrix.pod('x/b')
    await matrix.labelPod('x/b', { pod: 'b' })
    await matrix.settle()
    expect([await one.again(false), await other.again(true)]).toEqual(['silent', { open: 'z/a' }])
    expect(await matrix.differences()).toBe('')
    await matrix.labelPod('x/b', labels)
    await matrix.labelNamespace('y', { ns: 'y', team: 'red' })
    await matrix.settle()
    expect(await other.again(false)).toBe('silent')
    expect(await matrix.differences()).toBe('')
    await matrix.labelNamespace('y', { ns: 'y', team: 'blue', stage: 'live' })
  })

  test('a pod that has ended is no peer any more, though it still has its address in the API', async () => {
    await put(xaFrom({ namespaceSelector: namespaced('y') }))
    const status = '/api/v1/namespaces/y/pods/b/status'
    expect(await matrix.prober.ask([question('y/b', 'x/a')])).toEqual([{ open: 'x/a' }])
    await matrix.api.request('PATCH', status, { status: { phase: 'Succeeded' } })
    await matrix.settle()
    expect(await matrix.prober.ask([question('y/b', 'x/a', 'TCP', false), question('y/a', 'x/a')])).toEqual([
      'silent',
      { open: 'x/a' },
    ])
    await matrix.api.request('PATCH', status, { status: { phase: 'Running' } })
  })

  /** Who of them gets in at x/a's host port on node1. */
  async function getIn(...who: readonly string[]): Promise<string[]> {
    const protocols = ['TCP', 'UDP'] as const
    const asked = who.flatMap((name) =>
      protocols.map((protocol): Question => ({
        from: outsiders[name] === undefined ? name : 'outside',
        source: outsiders[name] ?? '-',
        address: '192.168.0.21',
        port: hostPort,
        protocol,
        expected: false,
      })),
    )
    const outcomes = await matrix.prober.ask(asked)
    const open = asked.map((_, i) => JSON.stringify(outcomes[i]) === '{"open":"x/a"}')
    return who.flatMap((name, i) => {
      const by = protocols.filter((_, j) => open[i * protocols.length + j])
      return by.length === 0 ? [] : [by.length === protocols.length ? name : `${name} by ${by.join()} alone`]
    })
  }

  // x/a, x/c and y/b are on node1, the others on node2.
  const everybody = ['outside', 'elsewhere', 'node1', 'node2', 'x/b', 'x/c', 'y/a', 'y/b']
  test.each<[string, NetworkPolicy, readonly string[]]>([
    ['nobody: its own node alone', xaFrom({ ipBlock: { cidr: '203.0.113.1/32' } }), ['node1']],
    ['one client outside', xaFrom({ ipBlock: { cidr: `${outsiders['outside']}/32` } }), ['outside', 'node1']],
    [
      "pods: of its own node those, by their own addresses; of another node none, for they come with that node's",
      xaFrom({ podSelector: named('c') }, { podSelector: named('b') }),
      ['node1', 'x/c'],
    ],
    [
      'another node, and so all of its pods',
      xaFrom({ ipBlock: { cidr: '192.168.0.22/32' } }),
      ['node1', 'node2', 'x/b', 'y/a'],
    ],
    [
      'the pod network: pods of its own node alone',
      xaFrom({ ipBlock: { cidr: '172.30.0.0/16' } }),
      ['node1', 'x/c', 'y/b'],
    ],
  ])('a host port of a pod whose policy admits %s', async (_, admitting, expected) => {
    await vi.waitFor(async () => expect(await getIn(...everybody)).toEqual(everybody), settled)
    await put(admitting)
    await vi.waitFor(async () => expect(await getIn(...everybody)).toEqual(expected), settled)
  })

  test("a pod's egress to a host port: to the pod behind it on its own node, to the node itself on another", async () => {
    await put(
      policy('x', {
        podSelector: named('c'),
        policyTypes: ['Egress'],
        egress: [{ to: [{ podSelector: named('a') }] }],
      }),
      policy('y', {
        podSelector: named('a'),
        policyTypes: ['Egress'],
        egress: [{ to: [{ ipBlock: { cidr: '192.168.0.21/32' } }] }],
      }),
    )
    await vi.waitFor(async () => expect(await getIn('x/c', 'y/a')).toEqual(['x/c', 'y/a']), settled)
    await put(
      policy('x', {
        podSelector: named('c'),
        policyTypes: ['Egress'],
        egress: [{ to: [{ ipBlock: { cidr: '192.168.0.21/32' } }] }],
      }),
      policy('y', {
        podSelector: named('a'),
        policyTypes: ['Egress'],
        egress: [{ to: [{ namespaceSelector: {}, podSelector: named('a') }] }],
      }),
    )
    expect(await getIn('x/c', 'y/a')).toEqual([])
  })

  // The policy selects x/a, would let x/b in, and has something wrong in it.
  test.each<[string, object]>([
    [
      'endPort without a port',
      { ingress: [{ from: [{ podSelector: {} }], ports: [{ protocol: 'TCP', endPort: 90 }] }] },
    ],
    ['endPort below its port', { ingress: [{ from: [{ podSelector: {} }], ports: [{ port: 80, endPort: 70 }] }] }],
    ['endPort of a named port', { ingress: [{ from: [{ podSelector: {} }], ports: [{ port: 'web', endPort: 90 }] }] }],
    [
      'an exception outside its block',
      { ingress: [{ from: [{ ipBlock: { cidr: '172.30.0.0/16', except: ['10.0.0.0/8'] } }] }] },
    ],
    [
      'an unknown operator',
      {
        ingress: [{ from: [{ podSelector: { matchExpressions: [{ key: 'pod', operator: 'Near', values: ['b'] }] } }] }],
      },
    ],
    [
      'In without values',
      { ingress: [{ from: [{ podSelector: { matchExpressions: [{ key: 'pod', operator: 'In', values: [] }] } }] }] },
    ],
    ['a port out of range', { ingress: [{ from: [{ podSelector: {} }], ports: [{ port: 70_000 }] }] }],
    [
      'a selector of its own that has an unknown operator',
      {
        podSelector: { matchLabels: { pod: 'a' }, matchExpressions: [{ key: 'role', operator: 'Near' }] },
        ingress: [{}],
      },
    ],
    [
      'a label that no rule could spell',
      { ingress: [{ from: [{ podSelector: { matchLabels: { 'a"; flush ruleset; #': '\n}' } } }] }] },
    ],
    ['a port name that no rule could spell', { ingress: [{ ports: [{ port: 'x } ; drop' }] }] }],
  ])(
    'a policy with %s is closed for the pods that it selects, said in one sentence, and holds up no other',
    async (_, spec) => {
      const log = join(lab.logs, 'agent-node1.log')
      const saidBefore = statSync(log).size
      const bad = {
        apiVersion: 'networking.k8s.io/v1',
        kind: 'NetworkPolicy',
        metadata: { namespace: 'x', name: 'bad' },
        spec: { podSelector: named('a'), ...spec },
      }
      await matrix.api.request('POST', '/apis/networking.k8s.io/v1/namespaces/x/networkpolicies', bad)
      try {
        await put(policy('y', { ingress: [{ from: [{ podSelector: {} }] }] }))
        const asked = [
          question('x/b', 'x/a', 'TCP', false),
          question('z/a', 'y/a', 'TCP', false),
          question('x/a', 'x/b'),
          question('x/b', 'x/c'),
          question('y/b', 'y/a'),
        ]
        expect(await matrix.prober.ask(asked)).toEqual([
          'silent',
          'silent',
          { open: 'x/b' },
          { open: 'x/c' },
          { open: 'y/a' },
        ])
        const said = readFileSync(log)
          .subarray(saidBefore)
          .toString()
          .split('\n')
          .filter((line) => line.includes('NetworkPolicy x/bad: '))
          .map((line) => JSON.parse(line) as { level: number })
        expect(said).toEqual([expect.objectContaining({ level: 40 })])
      } finally {
        await matrix.api.request('DELETE', '/apis/networking.k8s.io/v1/namespaces/x/networkpolicies/bad')
      }
    },
  )

  /** One row for each damage: what a person or program does to node1, where x/a is. */
  test.each<[string, string]>([
    ['the table is deleted', 'nft delete table inet fairlead'],
    ['the whole ruleset is flushed', 'nft flush ruleset'],
    ["a pod's verdict is deleted", 'nft flush map inet fairlead ingress4'],
    ['the base chain is emptied', 'nft flush chain inet fairlead forward'],
  ])('%s: who is denied is denied again soon, and who is allowed never notices', async (_, damage) => {
    await put(xaFrom({ podSelector: named('b') }))
    const [denied, allowed] = [question('y/a', 'x/a', 'UDP', false), question('x/b', 'x/a', 'UDP')]
    expect(await matrix.prober.ask([denied, allowed])).toEqual(['silent', { open: 'x/a' }])
    await execa('nsenter', [`--net=${namespacePath(lab, 'node1')}`, ...damage.split(' ')])
    const begin = performance.now()
    const meanwhile: (Outcome | undefined)[] = []
    await vi.waitFor(
      async () => {
        const [forbidden, permitted] = await matrix.prober.ask([denied, allowed])
        meanwhile.push(permitted)
        expect(forbidden).toBe('silent')
      },
      { timeout: 60_000, interval: 10 },
    )
    console.info(`${damage}: denied again after ${Math.round(performance.now() - begin)} ms`)
    expect(new Set(meanwhile.map((outcome) => JSON.stringify(outcome)))).toEqual(new Set(['{"open":"x/a"}']))
    await vi.waitFor(async () => expect(await matrix.differences()).toBe(''), settled)
  })

  test('an agent that is killed in the midst of changes leaves what was in force, and the next one takes up what it missed', async () => {
    await put(xaFrom({ podSelector: named('b') }))
    const both = [question('y/a', 'x/a', 'UDP', false), question('x/a', 'x/b', 'UDP')]
    const expected = ['silent', { open: 'x/b' }]
    const changing = (async () => {
      for (let i = 0; i < 8; i++)
        await matrix.apply(xaFrom({ podSelector: named(i % 2 === 0 ? 'c' : 'b') }), policy('z', {}), policy('y', {}))
    })()
    await matrix.lab.succeed(['node', 'node1', '--', 'sh', '-c', `kill -9 $(cat ${agentPidFile(lab, 'node1')})`])
    await changing
    // About as long as it takes until the agent is there again.
    for (let i = 0; i < 30; i++) expect(await matrix.prober.ask(both)).toEqual(expected)
    await matrix.settle()
    expect(await matrix.differences()).toBe('')
    expect(await matrix.prober.ask(both)).toEqual(expected)
  })
})
