// `fairlead trace` compared with real connections: it predicts which of them open, and names what is broken in the
// kernel.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { describeKernel } from './scratch.ts'
import { echoPod, root, TestLab } from './test-lab.ts'

const lab = new TestLab(`ft-trace-${process.pid}`)
const outside = '192.168.0.100'
/** Addresses of pods and Services, by name. */
const addresses = new Map<string, string>()

const labelled = (name: string, node: string, labels: object): object => ({
  ...echoPod(name, node),
  metadata: { name, labels },
})
const service = (name: string, selector: object, more: object = {}): object => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name },
  spec: { selector, ports: [{ port: 80, targetPort: 8080 }], ...more },
})
const nodePort = (name: string, selector: object, port: number, more: object = {}): object =>
  service(name, selector, { type: 'NodePort', ports: [{ port: 80, targetPort: 8080, nodePort: port }], ...more })
const policy = (name: string, spec: object): object => ({
  apiVersion: 'networking.k8s.io/v1',
  kind: 'NetworkPolicy',
  metadata: { name },
  spec,
})

const objects = [
  labelled('a', 'node1', { app: 'web' }),
  labelled('b', 'node2', { app: 'web' }),
  labelled('near', 'node1', { tier: 'front' }),
  labelled('far', 'node2', { tier: 'data' }),
  labelled('db', 'node1', { app: 'db' }),
  labelled('vault', 'node2', { app: 'db' }),
  labelled('caged', 'node1', { tier: 'caged' }),
  nodePort('web', { app: 'web' }, 30_080),
  nodePort('none', { app: 'none' }, 30_081),
  nodePort('there', { tier: 'data' }, 30_082, { externalTrafficPolicy: 'Local' }),
  service('database', { app: 'db' }),
  policy('for-data', {
    podSelector: { matchLabels: { app: 'db' } },
    ingress: [{ from: [{ podSelector: { matchLabels: { tier: 'data' } } }], ports: [{ port: 8080 }] }],
  }),
  policy('cage', {
    podSelector: { matchLabels: { tier: 'caged' } },
    policyTypes: ['Egress'],
    egress: [{ to: [{ ipBlock: { cidr: '192.168.0.0/24', except: ['192.168.0.22/32'] } }] }],
  }),
]

interface Outcome {
  readonly exitCode: number | undefined
  readonly text: string
}

async function trace(from: string, to: string, ...more: readonly string[]): Promise<Outcome> {
  const { exitCode, stdout, stderr } = await lab.run([
    'node',
    'node1',
    '--',
    join(root, 'bin/fairlead'),
    'trace',
    '--from',
    from,
    '--to',
    to,
    ...more,
  ])
  return { exitCode, text: stdout + stderr }
}

/** Runs many traces on node1 in one shell. */
async function traces(
  ends: readonly (readonly [from: string, to: string, ...rest: readonly unknown[]])[],
): Promise<Outcome[]> {
  const script = ends
    .map(([from, to]) => `${join(root, 'bin/fairlead')} trace --from ${from} --to ${to} 2>&1; echo "exit code $?"`)
    .join('\n')
  const said = (await onNode(script)).split(/^exit code (\d+)\n?/m)
  return ends.map((_, i) => ({ text: said[2 * i] ?? '', exitCode: Number(said[2 * i + 1]) }))
}

function enter(from: string): string[] {
  if (from === 'outside') return ['outside', '--']
  return from.startsWith('node') ? ['node', from, '--'] : ['exec', from, '--']
}

const connector = `
const { connect } = require('node:net')
const once = (host, port) => new Promise((resolve) => {
  const socket = connect({ host, port })
  const end = (open) => { socket.destroy(); resolve(open) }
  socket.setTimeout(2500, () => end(false)).once('connect', () => end(true)).once('error', () => end(false))
})
const all = process.argv.slice(1).map(async (target) => (await Promise.all(Array.from({ length: 6 }, () => once(...target.split(':'))))).every(Boolean))
Promise.all(all).then((open) => console.log(JSON.stringify(open)))
`

/** Opens some connections to each target ADDRESS:PORT, and returns for which of them all open. */
async function opens(from: string, targets: readonly string[]): Promise<boolean[]> {
  return JSON.parse(await lab.succeed([...enter(from), process.execPath, '-e', connector, ...targets])) as boolean[]
}

const placeOf = (target: string): string => target.replace(/^[^:]+/, (name) => addresses.get(name) ?? name)

const onNode = async (script: string): Promise<string> => await lab.succeed(['node', 'node1', '--', 'sh', '-c', script])
const pidFile = `/run/flab/${lab.name}/nodes/node1/agent.pid`

describeKernel('fairlead trace', () => {
  beforeAll(async () => {
    await lab.succeed(['up'])
    await lab.apply(...objects)
    for (const { name, address } of await lab.readyPods(7)) addresses.set(name, address)
    for (const name of ['web', 'none', 'there', 'database'])
      addresses.set(
        `svc/${name}`,
        (await lab.succeed(['kubectl', 'get', 'service', name, '-o', 'jsonpath={.spec.clusterIP}'])).trim(),
      )
    for (const node of ['node1', 'node2']) {
      await vi.waitFor(
        async () => {
          const rules = await lab.succeed([
            'node',
            node,
            '--',
            'sh',
            '-c',
            'iptables -w -t nat -S; nft list table inet fairlead',
          ])
          for (const name of ['web', 'there', 'database'])
            expect(rules).toMatch(new RegExp(`"default/${name}" -m tcp -j DNAT`))
          expect(rules).toContain('for-data')
        },
        { timeout: 60_000, interval: 300 },
      )
    }
  })
  afterAll(async () => await lab[Symbol.asyncDispose]())

  // Traced on node1. `place` is the target that the real connection uses.
  const cases: readonly (readonly [from: string, to: string, place: string, arrives: boolean])[] = [
    ['near', 'a:8080', 'a:8080', true],
    ['near', 'a:99', 'a:99', false],
    ['near', 'b:8080', 'b:8080', true],
    ['near', 'svc/web', 'svc/web:80', true],
    ['a', 'svc/web', 'svc/web:80', true],
    ['near', 'svc/none', 'svc/none:80', false],
    ['near', 'db:8080', 'db:8080', false],
    ['near', 'vault:8080', 'vault:8080', false],
    ['caged', 'b:8080', 'b:8080', false],
    ['caged', `${outside}:8080`, `${outside}:8080`, true],
    ['near', `${outside}:8080`, `${outside}:8080`, true],
    ['near', 'node2:10256', '192.168.0.22:10256', true],
    ['near', '172.30.1.200:8080', '172.30.1.200:8080', false],
    ['outside', '192.168.0.21:30080', '192.168.0.21:30080', true],
    ['outside', '192.168.0.21:30099', '192.168.0.21:30099', false],
    ['outside', 'svc/none', '192.168.0.21:30081', false],
    ['outside', 'svc/there', '192.168.0.21:30082', false],
    ['outside', 'svc/database', 'svc/database:80', false],
    ['node1', 'db:8080', 'db:8080', true],
    ['node1', 'svc/web', 'svc/web:80', true],
    ['node2', 'db:8080', 'db:8080', false],
    ['far', 'db:8080', 'db:8080', true],
  ]

  test('predicts with its exit code whether connections open', async () => {
    const bySource = [...Map.groupBy(cases, ([from]) => from)]
    const [said, ...opened] = await Promise.all([
      traces(cases),
      ...bySource.map(
        async ([from, asked]) =>
          await opens(
            from,
            asked.map(([, , place]) => placeOf(place)),
          ),
      ),
    ])
    const real = new Map(
      bySource.flatMap(([from, asked], i) => asked.map(([, to], j) => [`${from} ${to}`, opened[i]?.[j]] as const)),
    )
    const wrong = cases.flatMap(([from, to, , arrives], i) => {
      const open = real.get(`${from} ${to}`)
      return open === arrives && said[i]?.exitCode === (arrives ? 0 : 1)
        ? []
        : [{ from, to, arrives, open, said: said[i] }]
    })
    expect(wrong).toEqual([])
  })

  test('suggests a policy that admits the denied connection', async () => {
    const { text } = await trace('near', 'vault:8080', '-o', 'json')
    const { path } = JSON.parse(text) as { path: { hops: { broken?: { problem: string; policy: object } }[] } }
    const broken = path.hops.find((hop) => hop.broken !== undefined)?.broken
    expect(broken?.problem).toBe(
      'denied by isolation of default/vault: no ingress rule of policy for-data admits default/near to port 8080/tcp',
    )
    await lab.apply(broken!.policy)
    await vi.waitFor(async () => expect(await opens('near', [placeOf('vault:8080')])).toEqual([true]), {
      timeout: 60_000,
      interval: 300,
    })
    expect(await trace('near', 'vault:8080')).toMatchObject({
      exitCode: 0,
      text: expect.stringMatching(/admitted by policy admit-near, rule 1/) as string,
    })
  })

  test('rejects ends that it cannot resolve in one sentence', async () => {
    const said = await traces([
      ['near', 'vualt:80'],
      ['b', 'vault:80'],
      ['far', 'svc/database'],
    ])
    expect(said.map(({ exitCode }) => exitCode)).toEqual([2, 2, 2])
    expect(said.map(({ text }) => text.split('\n')[0])).toEqual([
      'error: No pod, Service or node is called vualt: is it default/vault?',
      expect.stringMatching(
        /^error: Neither pod default\/b .* nor pod default\/vault .* is on node1: ask on node2$/,
      ) as string,
      expect.stringMatching(/^error: Neither pod default\/far .* is on node1: ask on node2$/) as string,
    ])
  })

  test('names a deleted route and FDB entry while the agent is stopped', async () => {
    const peer = `${addresses.get('b')!.split('.').slice(0, 3).join('.')}.0`
    const mac = (await onNode(`ip neighbour show ${peer} dev fairlead.1`)).split(' ')[2] ?? ''
    const target = placeOf('b:8080')
    const run = `${join(root, 'bin/fairlead')} trace --from near --to ${target}; echo "exit code $?"`
    const faults = [
      {
        remove: `ip route del ${peer}/24`,
        repair: `ip route replace ${peer}/24 via ${peer} dev fairlead.1 onlink proto 98`,
        says: /BROKEN +route .*\n.*\n +the route to the node that has .* is missing/,
      },
      {
        remove: `bridge fdb del ${mac} dev fairlead.1`,
        repair: `bridge fdb replace ${mac} dev fairlead.1 dst 192.168.0.22 self permanent`,
        says: /BROKEN +fairlead\.1 .*\n.*\n +fairlead\.1 has no FDB entry for/,
      },
    ]
    const pid = readFileSync(pidFile, 'utf8').trim()
    await onNode(`kill -STOP ${pid}`)
    try {
      for (const { remove, repair, says } of faults) {
        const said = await onNode(`${remove}; ${run}`)
        expect(said, `after ${remove}`).toMatch(says)
        expect(said, `after ${remove}`).toMatch(/^exit code 1$/m)
        expect(await opens('near', [target]), `after ${remove}`).toEqual([false])
        await onNode(repair)
      }
      expect(await onNode(run)).toMatch(/the agent does not answer[^]*It arrives\.\nexit code 0/)
    } finally {
      await onNode(`kill -CONT ${pid}`)
    }
  })
})
