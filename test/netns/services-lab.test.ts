// The decision matrix with real packets (kube-proxy's flow table): pods, nodes and a client outside, at every way into
// a Service, under every policy. Asserted are who answered and from where it saw the question come.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { describeKernel } from './scratch.ts'
import { echoPod, root, TestLab } from './test-lab.ts'

const lab = new TestLab(`ft-svc-${process.pid}`)
const echo = join(root, 'dist/echo.mjs')
const outside = '192.168.0.100'
const node1 = '192.168.0.21'
const node2 = '192.168.0.22'
/** One try, given up soon. */
const dropped = { count: 1, withinMs: 700 }
/**
 * The kernel sends no more than six refusals at once to one address (icmp_ratelimit): what comes beyond is refused when
 * it asks again.
 */
const refused = { count: 3 }
const policies = {
  plain: {},
  external: { externalTrafficPolicy: 'Local' },
  internal: { internalTrafficPolicy: 'Local' },
} as const

type Policy = keyof typeof policies
type From = 'near' | 'far' | 'node1' | 'outside'
type Way = 'cluster' | 'node-port' | 'load-balancer' | 'localhost'

interface Entrance {
  readonly clusterIp: string
  readonly nodePort: number
  readonly loadBalancerIp: string
  readonly healthCheckNodePort: number
}

interface Many {
  readonly answers: readonly { readonly pod: string; readonly client: string; readonly count: number }[]
  readonly failures: readonly { readonly reason: string }[]
}

/** Of pods, by name. */
const addresses = new Map<string, string>()
const entrances = new Map<string, Entrance>()

async function kubectl(path: string): Promise<{
  spec: { clusterIP: string; healthCheckNodePort?: number; ports: { nodePort: number }[] }
  status: { loadBalancer: { ingress?: { ip: string }[] } }
}> {
  return JSON.parse(await lab.succeed(['kubectl', 'get', '--raw', path])) as never
}

async function entranceOf(name: string): Promise<Entrance> {
  return await vi.waitFor(
    async () => {
      const { spec, status } = await kubectl(`/api/v1/namespaces/default/services/${name}`)
      const loadBalancerIp = status.loadBalancer.ingress?.[0]?.ip ?? ''
      expect(loadBalancerIp).not.toBe('')
      return {
        clusterIp: spec.clusterIP,
        nodePort: spec.ports[0]!.nodePort,
        loadBalancerIp,
        healthCheckNodePort: spec.healthCheckNodePort ?? 0,
      }
    },
    { timeout: 60_000, interval: 200 },
  )
}

function enter(from: From): string[] {
  if (from === 'outside') return ['outside', '--']
  return from === 'node1' ? ['node', 'node1', '--'] : ['exec', from, '--']
}

/** Asks often enough to meet every endpoint. @returns "pod" of each that answered, and the addresses seen. */
async function ask(
  from: From,
  address: string,
  port: number,
  { count = 24, withinMs = 4000 } = {},
): Promise<{ pods: string; clients: string[]; failed: string[] }> {
  const { answers, failures } = JSON.parse(
    await lab.succeed([
      ...enter(from),
      process.execPath,
      echo,
      'many',
      address,
      `${port}/TCP`,
      String(count),
      String(withinMs),
    ]),
  ) as Many
  return {
    pods: [...new Set(answers.map(({ pod }) => pod))].toSorted().join('+'),
    clients: [...new Set(answers.map(({ client }) => client))],
    failed: [...new Set(failures.map(({ reason }) => reason.replace(/ \d+\.\S+$/, '')))],
  }
}

function target(policy: Policy, way: Way): [address: string, port: number] {
  const entrance = entrances.get(policy)!
  if (way === 'cluster') return [entrance.clusterIp, 80]
  if (way === 'load-balancer') return [entrance.loadBalancerIp, 80]
  return [way === 'localhost' ? '127.0.0.1' : node1, entrance.nodePort]
}

describeKernel('Services in a lab', () => {
  beforeAll(async () => {
    await lab.succeed(['up'])
    const labels = { app: 'web' }
    const web = (name: string, node: string) => ({ ...echoPod(name, node), metadata: { name, labels } })
    const services = Object.entries(policies).map(([name, policy]) => ({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name },
      spec: { type: 'LoadBalancer', selector: labels, ports: [{ port: 80, targetPort: 8080 }], ...policy },
    }))
    await lab.apply(
      ...services,
      web('l', 'node1'),
      web('r', 'node2'),
      echoPod('near', 'node1'),
      echoPod('far', 'node2'),
    )
    for (const { name, address } of await lab.readyPods(4)) addresses.set(name, address)
    for (const name of Object.keys(policies)) entrances.set(name, await entranceOf(name))
    // The nodes lead to both endpoints of all three, and know the addresses of their load balancers.
    for (const node of ['node1', 'node2']) {
      await vi.waitFor(
        async () => {
          const rules = await lab.succeed(['node', node, '--', 'iptables', '-w', '-t', 'nat', '-S'])
          for (const name of Object.keys(policies)) {
            expect(
              rules.split('\n').filter((rule) => rule.includes(`"default/${name}"`) && rule.includes('DNAT')),
            ).toHaveLength(2)
            expect(rules).toContain(`-d ${entrances.get(name)!.loadBalancerIp}/32`)
          }
        },
        { timeout: 60_000, interval: 200 },
      )
    }
  })
  afterAll(async () => await lab[Symbol.asyncDispose]())

  // From `near`, a pod on node1 (and node1 itself); node1 has `l`, node2 has `r`. masq: the pods see an address of
  // node1, not the client's own.
  test.each<[From, Way, Policy, pods: string, masquerade: boolean]>([
    ['near', 'cluster', 'plain', 'l+r', false],
    ['near', 'cluster', 'external', 'l+r', false],
    ['near', 'cluster', 'internal', 'l', false],
    ['near', 'node-port', 'plain', 'l+r', true],
    ['near', 'node-port', 'external', 'l+r', false],
    ['near', 'node-port', 'internal', 'l+r', true],
    ['near', 'load-balancer', 'plain', 'l+r', true],
    ['near', 'load-balancer', 'external', 'l+r', false],
    ['near', 'load-balancer', 'internal', 'l+r', true],
    ['node1', 'cluster', 'plain', 'l+r', true],
    ['node1', 'cluster', 'external', 'l+r', true],
    ['node1', 'cluster', 'internal', 'l', true],
    ['node1', 'node-port', 'plain', 'l+r', true],
    ['node1', 'node-port', 'external', 'l+r', true],
    ['node1', 'node-port', 'internal', 'l+r', true],
    ['node1', 'load-balancer', 'plain', 'l+r', true],
    ['node1', 'load-balancer', 'external', 'l+r', true],
    ['node1', 'localhost', 'plain', 'l+r', true],
    ['node1', 'localhost', 'external', 'l+r', true],
    ['node1', 'localhost', 'internal', 'l+r', true],
    ['outside', 'node-port', 'plain', 'l+r', true],
    ['outside', 'node-port', 'external', 'l', false],
    ['outside', 'node-port', 'internal', 'l+r', true],
    ['outside', 'load-balancer', 'plain', 'l+r', true],
    ['outside', 'load-balancer', 'internal', 'l+r', true],
  ])('%s -> %s, policy %s: %s answer, masqueraded %s', async (from, way, policy, pods, masquerade) => {
    const answered = await ask(from, ...target(policy, way))
    expect(answered).toMatchObject({ pods, failed: [] })
    const own = from === 'outside' ? [outside] : from === 'node1' ? [] : [addresses.get(from)]
    const seen = masquerade ? answered.clients.filter((client) => own.includes(client)) : answered.clients
    expect(seen).toEqual(masquerade ? [] : own)
  })

  test("outside -> load balancer, policy external: one endpoint of the node that was asked answers, and sees the client's address", async () => {
    const answered = await ask('outside', ...target('external', 'load-balancer'))
    expect(answered).toMatchObject({ pods: expect.stringMatching(/^[lr]$/) as string, clients: [outside], failed: [] })
  })

  test('outside -> a cluster IP that is routed to node1: masqueraded', async () => {
    const { clusterIp } = entrances.get('plain')!
    await lab.succeed(['outside', '--', 'ip', 'route', 'add', `${clusterIp}/32`, 'via', node1])
    const answered = await ask('outside', clusterIp, 80)
    expect(answered).toMatchObject({ pods: 'l+r', failed: [] })
    expect(answered.clients).not.toContain(outside)
  })

  test('health: the proxy, the mode, and the health check node port of each node', async () => {
    const get = async (from: From, url: string) =>
      await lab.succeed([
        ...enter(from),
        process.execPath,
        '-e',
        `fetch(${JSON.stringify(url)}).then(async (r) => console.log(JSON.stringify([r.status, r.headers.get('x-load-balancing-endpoint-weight'), await r.text()])))`,
      ])
    const asked = async (from: From, url: string) => JSON.parse(await get(from, url)) as [number, string | null, string]
    const [status, , body] = await asked('outside', `http://${node1}:10256/healthz`)
    expect([status, JSON.parse(body)]).toEqual([
      200,
      expect.objectContaining({
        nodeEligible: true,
        healthy: true,
        status: { IPv4: expect.objectContaining({ healthy: true }) as object },
      }),
    ])
    expect((await asked('outside', `http://${node1}:10256/livez`))[0]).toBe(200)
    expect(await asked('node1', 'http://127.0.0.1:10249/proxyMode')).toEqual([200, null, 'iptables'])
    const { healthCheckNodePort } = entrances.get('external')!
    expect((await asked('outside', `http://${node1}:${healthCheckNodePort}/`)).slice(0, 2)).toEqual([200, '1'])
    const [, , metrics] = await asked('node1', 'http://127.0.0.1:10249/metrics')
    expect(metrics).toMatch(/^kubeproxy_sync_proxy_rules_duration_seconds_count\{ip_family="IPv4"\} [1-9]/m)
    expect(metrics).toMatch(/^kubeproxy_network_programming_duration_seconds_count\{ip_family="IPv4"\} [1-9]/m)
    expect(metrics).toMatch(/^kubeproxy_sync_proxy_rules_iptables_total\{table="nat",ip_family="IPv4"\} [1-9]/m)
    expect(metrics).toMatch(
      /^fairlead_service_connections_total\{namespace="default",service="plain",port="",protocol="tcp",ip_family="IPv4",policy="Cluster"\} \d+$/m,
    )
    expect(metrics).toMatch(/^kubeproxy_proxy_healthz_total\{code="200"\} [1-9]/m)
  })

  test.each(['TERM', 'KILL'])(
    'under load across nodes, with the agents of both ended by SIG%s and started again: not one connection fails',
    async (signal) => {
      const pidFile = (node: string) => `/run/flab/${lab.name}/nodes/${node}/agent.pid`
      const pids = () => ['node1', 'node2'].map((node) => readFileSync(pidFile(node), 'utf8'))
      const metrics = async (node: string) =>
        await lab.succeed(['node', node, '--', 'socat', '-', 'TCP:127.0.0.1:10249'], 'GET /metrics HTTP/1.0\r\n\r\n')
      const [address, port] = target('plain', 'cluster')
      const restarted = new AbortController()
      const load = async (from: From): Promise<Many[]> => {
        const seen: Many[] = []
        do
          seen.push(
            JSON.parse(
              await lab.succeed([
                ...enter(from),
                process.execPath,
                echo,
                'many',
                address,
                `${port}/TCP`,
                '1000',
                '4000',
              ]),
            ) as Many,
          )
        while (!restarted.signal.aborted)
        return seen
      }
      const loads = Promise.all([load('near'), load('far')])
      const before = pids()
      for (const node of ['node1', 'node2'])
        await lab.succeed(['node', node, '--', 'sh', '-c', `kill -${signal} $(cat ${pidFile(node)})`])
      await vi.waitFor(
        async () => {
          expect(pids().filter((pid, i) => pid === before[i])).toEqual([])
          for (const node of ['node1', 'node2'])
            expect(await metrics(node)).toMatch(
              /^kubeproxy_sync_proxy_rules_duration_seconds_count\{ip_family="IPv4"\} [1-9]/m,
            )
        },
        { timeout: 60_000, interval: 300 },
      )
      restarted.abort()
      const seen = (await loads).flat()
      expect(seen.flatMap(({ failures }) => failures)).toEqual([])
      const answers = seen.flatMap((each) => each.answers)
      expect([...new Set(answers.map(({ pod }) => pod))].toSorted()).toEqual(['l', 'r'])
      console.log(
        `SIG${signal}: ${answers.reduce((sum, each) => sum + each.count, 0)} connections from two nodes while their agents were started again, none failed`,
      )
    },
  )

  test('no local endpoint: external traffic is dropped, node and pods are served, and the health check node port says no', async () => {
    await lab.delete({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'l' } })
    const external = entrances.get('external')!
    await vi.waitFor(
      async () =>
        expect(await lab.succeed(['node', 'node1', '--', 'iptables', '-w', '-S', 'KUBE-EXTERNAL-SERVICES'])).toContain(
          'default/external has no local endpoints',
        ),
      { timeout: 60_000, interval: 100 },
    )
    expect(await ask('outside', node1, external.nodePort, dropped)).toMatchObject({
      pods: '',
      failed: ['no answer within 700 ms'],
    })
    expect(await ask('outside', node2, external.nodePort)).toMatchObject({ pods: 'r', clients: [outside], failed: [] })
    // Seen with the tunnel's address, as with kube-proxy: the answer to the node's own would come in by the uplink.
    const tunnel = await lab.succeed(['node', 'node1', '--', 'ip', '-4', 'addr', 'show', 'dev', 'fairlead.1'])
    const vtep = /inet ([\d.]+)\/32/.exec(tunnel)?.[1]
    expect(await ask('node1', node1, external.nodePort)).toMatchObject({ pods: 'r', clients: [vtep], failed: [] })
    expect(await ask('near', node1, external.nodePort)).toMatchObject({ pods: 'r', failed: [] })
    expect(await ask('near', entrances.get('internal')!.clusterIp, 80, dropped)).toMatchObject({
      pods: '',
      failed: ['no answer within 700 ms'],
    })
    expect(await ask('far', entrances.get('internal')!.clusterIp, 80)).toMatchObject({ pods: 'r', failed: [] })
    const weight = await lab.succeed([
      'outside',
      '--',
      process.execPath,
      '-e',
      `fetch('http://${node1}:${external.healthCheckNodePort}/').then((r) => console.log(r.status, r.headers.get('x-load-balancing-endpoint-weight')))`,
    ])
    expect(weight).toBe('503 0')
  })

  test('no endpoint anywhere: refused, in every way', async () => {
    await lab.delete({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'r' } })
    await vi.waitFor(
      async () =>
        expect(await lab.succeed(['node', 'node1', '--', 'iptables', '-w', '-S', 'KUBE-EXTERNAL-SERVICES'])).toContain(
          'default/plain has no endpoints',
        ),
      { timeout: 60_000, interval: 100 },
    )
    for (const [from, way] of [
      ['near', 'cluster'],
      ['near', 'node-port'],
      ['near', 'load-balancer'],
      ['node1', 'cluster'],
      ['outside', 'node-port'],
      ['outside', 'load-balancer'],
    ] as const) {
      expect(await ask(from, ...target('plain', way), refused), `${from} ${way}`).toMatchObject({
        pods: '',
        failed: ['connect ECONNREFUSED'],
      })
    }
  })
})
