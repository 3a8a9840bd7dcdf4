// Policies under a real agent: a pod's ADD is answered when its verdicts are in the kernel, and what another program or
// a kill does to the table is made good.
import { existsSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { AgentMachine, type AgentOptions, until } from './agent-machine.ts'
import { describeKernel } from './scratch.ts'

const policies = '/apis/networking.k8s.io/v1/namespaces/default/networkpolicies'
const pods = '/api/v1/namespaces/default/pods'

async function machineWith(flags: readonly string[] = []): Promise<{ machine: AgentMachine; options: AgentOptions }> {
  const machine = await AgentMachine.start()
  const options = { flags: ['--service-proxy', 'false', ...flags] }
  machine.startAgent(options)
  await machine.ready()
  return { machine, options }
}

/** The Pod object, as the API server has it before a runtime is asked for the pod. */
async function putPod(machine: AgentMachine, name: string, labels: object): Promise<void> {
  await machine.api('POST', pods, {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, labels },
    spec: { nodeName: 'n1', containers: [{ name: 'c', image: 'i' }] },
  })
}

async function putPolicy(machine: AgentMachine, name: string, spec: object): Promise<void> {
  await machine.api('POST', policies, {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name },
    spec,
  })
}

/** @returns the pod's address */
async function add(machine: AgentMachine, name: string): Promise<string> {
  await machine.addPodNamespace(name)
  const { code, document } = await machine.cni('ADD', { containerId: name, netns: name })
  expect(document).toMatchObject({ ips: [{}] })
  expect(code).toBe(0)
  return document.ips?.[0]?.address.split('/')[0] ?? ''
}

/** Sends its name to each address and port, 25 times a second, with a number each time. */
const sender = `const [name, ...to] = process.argv.slice(1); const socket = require('node:dgram').createSocket('udp4'); let n = 0
setInterval(() => { n += 1; for (const each of to) socket.send(name + ' ' + n, Number(each.split(':')[1]), each.split(':')[0], () => undefined) }, 40)`
/**
 * Prints what it hears: port, name, number, and when (ms); until it hears "end". The kernel keeps what comes while it
 * waits seconds for a core.
 */
const receiver = `for (const port of process.argv.slice(1)) { const socket = require('node:dgram').createSocket('udp4')
socket.on('message', (word) => { if (String(word) === 'end') process.exit(0); console.log(port + ' ' + word + ' ' + Date.now()) }).bind(Number(port), () => socket.setRecvBufferSize(2 ** 20)) }`

interface Heard {
  /** "web:80": the sender and the port that it got to. */
  readonly flow: string
  readonly number: number
  readonly at: number
}

/** Listens in a pod until the node says "end". */
function listening(
  machine: AgentMachine,
  pod: string,
  address: string,
  ports: readonly string[],
): () => Promise<readonly Heard[]> {
  const ran = machine.run('ip', ['netns', 'exec', pod, process.execPath, '-e', receiver, ...ports])
  return async () => {
    await machine.run('socat', ['-u', '-', `UDP:${address}:${ports[0]}`], { input: 'end' })
    const { stdout } = await ran
    return stdout
      .split('\n')
      .filter(Boolean)
      .map((line) => line.split(' '))
      .map(([port, name, number, at]) => ({ flow: `${name}:${port}`, number: Number(number), at: Number(at) }))
  }
}

/** The longest time (ms) between two packets of those. */
const longestGap = (heard: readonly Heard[]): number =>
  Math.max(...heard.slice(1).map(({ at }, i) => at - (heard[i]?.at ?? 0)))

/** Both of ours, where they are. */
async function table(machine: AgentMachine): Promise<string> {
  const listed = await Promise.all(
    ['inet', 'bridge'].map(
      async (family) => await machine.run('nft', ['--stateless', 'list', 'table', family, 'fairlead']),
    ),
  )
  return listed.map(({ stdout }) => stdout).join('')
}

/** What is written about the chain that a map leads the address to; undefined where it leads nowhere. */
async function chainOf(machine: AgentMachine, map: string, address: string): Promise<string | undefined> {
  const text = await table(machine)
  const elements = new RegExp(`map ${map} {[^}]*elements = {([^}]*)}`).exec(text)?.[1] ?? ''
  const chain = elements
    .split(',')
    .map((each) => each.trim().split(' : jump '))
    .find(([key]) => key === address)?.[1]
  return chain === undefined ? undefined : new RegExp(`chain ${chain} {\\s+comment "([^"]*)"`).exec(text)?.[1]
}

const rolePath = '/apis/rbac.authorization.k8s.io/v1/clusterroles/fairlead'
interface ClusterRole {
  readonly rules: readonly { readonly resources: readonly string[] }[]
}

describeKernel('policies of an agent', () => {
  test('until they have been read the runtime is told that no pod can start; from then on one can', async () => {
    await using machine = await AgentMachine.start()
    const { rules } = (await machine.api('GET', rolePath)) as ClusterRole
    const allow = async (allowed: ClusterRole['rules']) =>
      machine.api('PUT', rolePath, {
        apiVersion: 'rbac.authorization.k8s.io/v1',
        kind: 'ClusterRole',
        metadata: { name: 'fairlead' },
        rules: allowed,
      })
    await allow(rules.filter(({ resources }) => !resources.includes('networkpolicies')))
    machine.startAgent({
      kubeconfig: false,
      flags: ['--kubeconfig', `${machine.dir}/agent-n1.kubeconfig`, '--service-proxy', 'false'],
    })
    const sentence =
      'the network policies of the cluster, and what they are judged by, have not been read from https://127.0.0.1:6443 yet'
    await until(
      async () => (await machine.cni('STATUS')).document.details === sentence,
      'STATUS to say what it waits for',
    )
    await until(
      async () =>
        (
          await machine.run('socat', ['-t5', '-', 'TCP:127.0.0.1:10256'], { input: 'GET /readyz HTTP/1.0\r\n\r\n' })
        ).stdout.endsWith(`not ready: ${sentence}\n`),
      'a whole pass',
    )
    expect(existsSync(machine.conflist)).toBe(false)
    await allow(rules)
    await machine.ready()
    await add(machine, 'first')
  })

  test('a pod is isolated when its ADD is answered, if its labels are known or not; one that nothing selects waits for nothing', async () => {
    const { machine } = await machineWith(['--policy-start-seconds', '1'])
    await using _machine = machine
    await putPod(machine, 'open', { app: 'web' })
    const open = await add(machine, 'open')
    expect(await table(machine)).toBe('')

    await putPolicy(machine, 'deny-db', {
      podSelector: { matchLabels: { app: 'db' } },
      policyTypes: ['Ingress', 'Egress'],
    })
    await putPod(machine, 'known', { app: 'db' })
    const known = await add(machine, 'known')
    expect([await chainOf(machine, 'ingress4', known), await chainOf(machine, 'egress4', known)]).toEqual([
      'default: deny-db',
      'default: deny-db',
    ])

    const late = await add(machine, 'late')
    expect(await chainOf(machine, 'ingress4', late)).toBe('pods whose labels are not known yet')
    expect(machine.warnings).toEqual([
      expect.stringContaining('pod default/late starts though its labels have not arrived'),
    ])
    expect(await machine.metrics()).toContain('fairlead_policy_pods{state="held"} 1')
    await putPod(machine, 'late', { app: 'web' })
    await until(async () => (await chainOf(machine, 'ingress4', late)) === undefined, 'the pod to be let go')
    expect(await chainOf(machine, 'ingress4', open)).toBeUndefined()
    expect(await chainOf(machine, 'ingress4', known)).toBe('default: deny-db')

    await machine.cni('DEL', { containerId: 'known', netns: 'known' })
    await until(async () => (await table(machine)) === '', 'the table to go with the last isolated pod')
  })

  test('what another program takes away comes back, and a kill of the agent opens nothing', async () => {
    const { machine, options } = await machineWith()
    await using _machine = machine
    await putPolicy(machine, 'web', {
      podSelector: { matchLabels: { app: 'db' } },
      ingress: [{ from: [{ podSelector: { matchLabels: { app: 'web' } } }], ports: [{ port: 80 }] }],
    })
    await putPod(machine, 'web', { app: 'web' })
    await putPod(machine, 'db', { app: 'db' })
    const [web, db] = [await add(machine, 'web'), await add(machine, 'db')]
    await until(async () => (await table(machine)).includes(`elements = { ${web} }`), 'the peer to be known')
    const whole = await table(machine)
    const chain = /jump (ingress-\w+)/.exec(whole)?.[1] ?? ''
    const set = /set (pods4-\w+)/.exec(whole)?.[1] ?? ''
    const damages = [
      ['delete table inet fairlead'],
      ['delete element inet fairlead ingress4', `{ ${db} }`],
      ['flush chain inet fairlead', chain],
      ['flush chain inet fairlead forward'],
      ['delete element inet fairlead', set, `{ ${web} }`],
      ['add element inet fairlead', set, '{ 10.244.1.99 }'],
      ['delete table bridge fairlead'],
      ['flush set bridge fairlead receivers'],
      ['flush chain bridge fairlead forward'],
    ]
    const repairs = (): number =>
      machine.log.filter(({ msg }) => msg.startsWith('what another program had changed of the policy rules')).length
    for (const [before, damage] of damages.entries()) {
      await machine.succeed('nft', damage.join(' ').split(' '))
      await until(() => repairs() === before + 1, `${damage.join(' ')} to be mended`)
      expect(await table(machine)).toBe(whole)
    }

    await machine.killAgent()
    expect(await table(machine)).toBe(whole)
    await machine.succeed('nft', ['flush', 'map', 'inet', 'fairlead', 'ingress4'])
    machine.startAgent(options)
    await machine.ready()
    await until(async () => (await table(machine)) === whole, 'the next agent to write the table')
    expect(await chainOf(machine, 'ingress4', db)).toBe('default: web')

    await machine.killAgent('TERM')
    expect(await table(machine)).toBe(whole)
    machine.startAgent({ flags: [...(options.flags ?? []), '--network-policy', 'false'] })
    await until(async () => (await table(machine)) === '', 'the table to go when policies are switched off')
  })

  test('what is damaged under traffic is open, or closed, for less than 3 s, however much the table holds; for pods without a policy it is neither', async () => {
    const { machine } = await machineWith()
    await using _machine = machine
    // So many sets that reading them all without cause would be dear.
    for (let n = 0; n < 40; n++) {
      const from = Array.from({ length: 200 }, (_, i) => ({ ipBlock: { cidr: `20.${n}.${i}.0/25` } }))
      await putPolicy(machine, `crowd-${n}`, { podSelector: { matchLabels: { app: 'db' } }, ingress: [{ from }] })
    }
    await putPolicy(machine, 'web', {
      podSelector: { matchLabels: { app: 'db' } },
      ingress: [{ from: [{ podSelector: { matchLabels: { app: 'web' } } }], ports: [{ port: 80, protocol: 'UDP' }] }],
    })
    for (const name of ['web', 'other', 'db', 'open']) await putPod(machine, name, { app: name })
    const [web, , db, open] = [
      await add(machine, 'web'),
      await add(machine, 'other'),
      await add(machine, 'db'),
      await add(machine, 'open'),
    ]
    await until(async () => (await table(machine)).includes(`elements = { ${web} }`), 'the peer to be known')
    const whole = await table(machine)
    const chain = /jump (ingress-\w+)/.exec(whole)?.[1] ?? ''
    const set = /set (pods4-\w+)/.exec(whole)?.[1] ?? ''
    const heardBy = { db: listening(machine, 'db', db, ['80', '81']), open: listening(machine, 'open', open, ['80']) }
    for (const name of ['web', 'other'])
      void machine.run('ip', [
        'netns',
        'exec',
        name,
        process.execPath,
        '-e',
        sender,
        name,
        `${db}:80`,
        `${db}:81`,
        `${open}:80`,
      ])
    const begins: number[] = []
    for (const damage of [
      `delete element inet fairlead ingress4 { ${db} }`,
      `flush chain inet fairlead ${chain}`,
      `delete element inet fairlead ${set} { ${web} }`,
      'delete table inet fairlead',
    ]) {
      await sleep(500)
      begins.push(Date.now())
      await machine.succeed('nft', damage.split(' '))
      await until(async () => (await table(machine)) === whole, `${damage} to be mended`)
    }
    await sleep(500)
    begins.push(Date.now())
    const [atDb, atOpen] = [await heardBy.db(), await heardBy.open()]
    const forbidden = atDb.filter(({ flow }) => flow !== 'web:80')
    const openFor = begins
      .slice(0, -1)
      .map((begin, i) =>
        Math.max(0, ...forbidden.filter(({ at }) => at >= begin && at < begins[i + 1]!).map(({ at }) => at - begin)),
      )
    expect(openFor).toSatisfy((times: number[]) => times.every((ms) => ms < 3000) && times.some((ms) => ms > 0))
    expect(forbidden.filter(({ at }) => at < begins[0]!)).toEqual([])
    expect(longestGap(atDb.filter(({ flow }) => flow === 'web:80'))).toBeLessThan(3000)
    for (const name of ['web', 'other']) {
      const numbers = atOpen.filter(({ flow }) => flow === `${name}:80`).map(({ number }) => number)
      expect(numbers).toEqual(Array.from(numbers, (_, i) => (numbers[0] ?? 0) + i))
    }
  })
})
