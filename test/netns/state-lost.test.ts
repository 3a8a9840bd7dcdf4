// The state directory is emptied at random moments, while the agent runs, is away or starts, and pods come and go
// beside those that are watched. FAIRLEAD_LONG: 40 pods and 24 rounds.
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { AgentMachine, until } from './agent-machine.ts'
import { Random } from './random.ts'
import { describeKernel } from './scratch.ts'

const long = process.env['FAIRLEAD_LONG'] !== undefined
const [count, rounds] = long ? [40, 24] : [6, 3]
/** Bytes of one. */
const message = 64
const options = { flags: ['--service-proxy', 'false'] }
const pods = '/api/v1/namespaces/default/pods'

/** What happens to the directory. */
const losses = ['while the agent runs', 'while it is away', 'as it is killed', 'as it starts'] as const

async function addPod(machine: AgentMachine, name: string, labels: object): Promise<string> {
  await machine.api('POST', pods, {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, labels },
    spec: { nodeName: 'n1', containers: [{ name: 'c', image: 'i' }] },
  })
  await machine.addPodNamespace(name)
  const { document } = await machine.cni('ADD', { containerId: name, netns: name })
  expect(document).toMatchObject({ ips: [{}] })
  return document.ips?.[0]?.address.split('/')[0] ?? ''
}

/** Pods of the namespace may talk to each other on 8080, and no further: each is isolated both ways. */
async function putPolicy(machine: AgentMachine): Promise<void> {
  const others = [{ podSelector: { matchLabels: { app: 'steady' } } }]
  const ports = [{ protocol: 'TCP', port: 8080 }]
  await machine.api('POST', '/apis/networking.k8s.io/v1/namespaces/default/networkpolicies', {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: 'steady' },
    spec: {
      podSelector: { matchLabels: { app: 'steady' } },
      policyTypes: ['Ingress', 'Egress'],
      ingress: [{ from: others, ports }],
      egress: [{ to: others, ports }],
    },
  })
}

const empty = async (machine: AgentMachine): Promise<unknown> =>
  await machine.succeed('sh', ['-c', 'rm -rf /run/fairlead/*'])

async function lose(machine: AgentMachine, how: (typeof losses)[number], random: Random): Promise<void> {
  const moment = async (longest: number): Promise<void> => sleep(random.within(0, longest))
  switch (how) {
    case 'while the agent runs':
      return void (await empty(machine))
    case 'while it is away':
      await machine.killAgent()
      await moment(1000)
      await empty(machine)
      return machine.startAgent(options)
    case 'as it is killed':
      await empty(machine)
      // Its guard looks every 1.5 s.
      await moment(2000)
      await machine.killAgent()
      return machine.startAgent(options)
    case 'as it starts':
      await machine.killAgent()
      machine.startAgent(options)
      await moment(2000)
      return void (await empty(machine))
  }
}

/** Starts and ends pods as a runtime does, until told to stop. @returns addresses that a watched pod has */
async function churn(machine: AgentMachine, watched: ReadonlySet<string>, stop: AbortSignal): Promise<string[]> {
  const wrong: string[] = []
  for (let n = 0; !stop.aborted; n++) {
    const name = `short${n}`
    await machine.addPodNamespace(name)
    const added = await machine.cni('ADD', { containerId: name, netns: name })
    wrong.push(
      ...(added.document.ips ?? []).map(({ address }) => address.split('/')[0] ?? '').filter((a) => watched.has(a)),
    )
    await machine.cni('DEL', { containerId: name, netns: name })
    await machine.removePodNamespace(name)
  }
  return wrong
}

/** What came of one connection, in messages' bytes, packets and datagrams (steady-flows.c). */
interface Flow {
  readonly sent: number
  readonly missing: number
  readonly retransmitted: number
  readonly admitted: number
}

/** Opens the connections; they end with the function that it returns. */
async function openFlows(
  machine: AgentMachine,
  flows: readonly { from: string; to: string; address: string }[],
): Promise<() => Promise<readonly Flow[]>> {
  const program = join(machine.dir, 'steady-flows')
  const source = join(import.meta.dirname, 'steady-flows.c')
  execFileSync('gcc', ['-O2', '-Wall', '-Wextra', '-Werror', '-o', program, source])
  const path = (name: string): string => machine.path(`/run/netns/${name}`)
  const child = spawn(
    program,
    flows.flatMap(({ from, to, address }) => [path(from), path(to), address]),
    { stdio: ['pipe', 'pipe', 'inherit'] },
  )
  let printed = ''
  child.stdout.on('data', (text: Buffer) => (printed += text.toString()))
  await until(() => printed.startsWith('open\n'), 'the connections to be open')
  return async () => {
    const gone = once(child, 'close')
    child.stdin.end()
    await gone
    return printed
      .split('\n')
      .slice(1, -1)
      .map((line) => line.split(' ').map(Number))
      .map(([sent = 0, echoed = 0, retransmitted = 0, admitted = 0]) => ({
        sent,
        missing: sent - echoed,
        retransmitted,
        admitted,
      }))
  }
}

describeKernel('pods whose records are lost', () => {
  test(`lose no packet: ${count} under policies, ${rounds} times`, async () => {
    const random = new Random()
    await using machine = await AgentMachine.start()
    machine.startAgent(options)
    await machine.ready()
    const names = Array.from({ length: count }, (_, i) => `p${i}`)
    const addresses: string[] = []
    for (const name of names) addresses.push(await addPod(machine, name, { app: 'steady' }))
    const ring = names.map((from, i) => {
      const next = (i + 1) % count
      return { from, to: names[next]!, address: addresses[next]! }
    })
    // Without policies the datagrams arrive.
    const endControl = await openFlows(machine, ring)
    await sleep(500)
    for (const { admitted } of await endControl()) expect(admitted).toBeGreaterThan(0)
    await putPolicy(machine)
    await until(
      async () => (await machine.metrics()).includes(`fairlead_policy_pods{state="isolated"} ${count}`),
      'all pods to be isolated',
    )

    const endFlows = await openFlows(machine, ring)
    const stop = new AbortController()
    const churning = churn(machine, new Set(addresses), stop.signal)
    try {
      for (let round = 0; round < rounds; round++) {
        const how = round < losses.length ? losses[round]! : random.pick(losses)
        await sleep(random.within(0, 1000))
        await lose(machine, how, random)
        await machine.ready()
        await until(
          async () => Number(await machine.succeed('sh', ['-c', 'ls /run/fairlead/attachments | wc -l'])) >= count,
          `all records to be there again (seed ${random.seed}, round ${round}: ${how})`,
        )
      }
    } finally {
      stop.abort()
      expect(await churning, `seed ${random.seed}`).toEqual([])
    }
    const flows = await endFlows()
    const sent = flows.map((flow) => flow.sent / message)
    if (long)
      console.log(
        `${count} connections, ${Math.min(...sent)} to ${Math.max(...sent)} messages each, seed ${random.seed}`,
      )
    expect(Math.min(...sent)).toBeGreaterThan(rounds)
    expect(
      flows.map(({ missing, retransmitted, admitted }) => ({ missing, retransmitted, admitted })),
      `seed ${random.seed}`,
    ).toEqual(names.map(() => ({ missing: 0, retransmitted: 0, admitted: 0 })))
    await until(
      async () => /^fairlead_attachments (\d+)$/m.exec(await machine.metrics())?.[1] === String(count),
      'the attachments of the watched pods alone',
    )
    for (const name of names)
      expect(await machine.cni('DEL', { containerId: name, netns: name })).toMatchObject({ code: 0 })
  })
})
