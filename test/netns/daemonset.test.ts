// The agent as its DaemonSet runs it: with the capabilities, the read-only root and the mounts of
// deploy/base/daemonset.yaml it does all that it does as root of a machine, each capability is one that it needs, and
// what deploy/cleanup runs leaves nothing of it.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { parse } from 'yaml'
import { AgentMachine, type CniAnswer } from './agent-machine.ts'
import { type Container, intoContainer, type PodSpec } from './pod-container.ts'
import { describeKernel } from './scratch.ts'

const root = join(import.meta.dirname, '../..')
const podOf = (folder: string): PodSpec =>
  (
    parse(readFileSync(join(root, `deploy/${folder}/daemonset.yaml`), 'utf8')) as {
      spec: { template: { spec: PodSpec } }
    }
  ).spec.template.spec
const agentPod = podOf('base')
const cleanupPod = podOf('cleanup')
const eventually = { timeout: 60_000, interval: 100 }
const agent = named(agentPod.containers, 'agent')

function named(containers: readonly Container[] | undefined, name: string): Container {
  const found = containers?.find((container) => container.name === name)
  if (found === undefined) throw new Error(`Expected a container ${name}`)
  return found
}

function into(machine: AgentMachine, pod: PodSpec, container: Container, capabilities?: readonly string[]): string[] {
  for (const directory of ['bin', 'net.d', 'config']) mkdirSync(join(machine.dir, directory), { recursive: true })
  writeFileSync(join(machine.dir, 'config/config.yaml'), 'logLevel: debug\n')
  const hostPaths = { '/opt/cni/bin': join(machine.dir, 'bin'), '/etc/cni/net.d': join(machine.dir, 'net.d') }
  return intoContainer({
    pod,
    container,
    hostPaths,
    configMaps: { fairlead: join(machine.dir, 'config') },
    ...(capabilities === undefined ? {} : { capabilities }),
  })
}

function startAgent(machine: AgentMachine, capabilities?: readonly string[]): void {
  const [, ...flags] = agent.args ?? []
  // The machine's own test directory is no path of the container's.
  machine.startAgent({
    lead: into(machine, agentPod, agent, capabilities),
    flags: [...flags, '--cni-conf-dir', '/etc/cni/net.d'],
  })
}

/** One run of an init container. */
async function runOnce(
  machine: AgentMachine,
  pod: PodSpec,
  name: string,
): Promise<{ exitCode: number | null; stdout: string; stderr: string }> {
  const container = named(pod.initContainers, name)
  const [program = '', ...args] = [
    ...into(machine, pod, container),
    join(root, 'bin/fairlead'),
    ...(container.args ?? []),
  ]
  return await machine.run(program, args)
}

/** As `kubectl exec` starts it: beside the agent, with what its container has. */
async function askIn(
  machine: AgentMachine,
  question: readonly string[],
  capabilities?: readonly string[],
): Promise<{ exitCode: number | null; stdout: string }> {
  const [program = '', ...args] = [
    ...into(machine, agentPod, agent, capabilities),
    join(root, 'bin/fairlead'),
    ...question,
  ]
  return await machine.run(program, args)
}

/** A node on which a kubelet of that backend has left its hint, and mounts reach those who ask for it. */
async function startNode(backend: string): Promise<AgentMachine> {
  const machine = await AgentMachine.start()
  await machine.succeed('sh', [
    '-ec',
    `mount --make-rshared /run; iptables-${backend} -t mangle -N KUBE-IPTABLES-HINT; echo 0 >/proc/sys/net/ipv4/ip_forward`,
  ])
  return machine
}

/** The Pod object, and its interface. */
async function startPod(machine: AgentMachine, name: string, securityContext: object, conf = {}): Promise<CniAnswer> {
  await machine.api('POST', '/api/v1/namespaces/default/pods', {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name },
    spec: { nodeName: 'n1', containers: [{ name: 'c', image: 'i', securityContext }] },
  })
  await machine.addPodNamespace(name)
  return await machine.cni('ADD', { containerId: name, netns: name }, conf)
}

const inPod = (machine: AgentMachine, name: string, command: string): Promise<string> =>
  machine.succeed('ip', ['netns', 'exec', name, 'sh', '-ec', command])

describeKernel('the DaemonSet', () => {
  test.each(['nft', 'legacy'])('serves pods, host ports and Services on iptables-%s', async (backend) => {
    await using machine = await startNode(backend)
    expect(await runOnce(machine, agentPod, 'install')).toMatchObject({
      exitCode: 0,
      stdout: expect.stringContaining('/opt/cni/bin/fairlead-cni: installed') as string,
    })
    await machine.api('POST', '/api/v1/namespaces/default/services', {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'web' },
      spec: { clusterIP: '10.254.0.9', ports: [{ port: 80 }] },
    })
    startAgent(machine)
    await machine.ready()

    // A namespace that comes while the agent runs: its mount has to reach the container.
    const portMappings = [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }]
    const bandwidth = { ingressRate: 1_000_000, ingressBurst: 1_000_000 }
    const answer = await startPod(machine, 'p1', {}, { runtimeConfig: { portMappings, bandwidth } })
    expect(answer).toMatchObject({
      code: 0,
      document: { ips: [{ address: expect.stringMatching(/^10\.244\.1\./) as string }] },
    })
    await machine.succeed('ip', ['netns', 'exec', 'p1', 'ping', '-c1', '-W5', '10.244.1.1'])
    await vi.waitFor(async () => {
      const rules = await machine.succeed(`iptables-${backend}-save`, [])
      expect(rules).toContain('--dport 8080 -j DNAT')
      expect(rules).toContain('default/web has no endpoints')
    }, eventually)
    // What its second jumps to Services ask for.
    await vi.waitFor(
      async () => expect(await machine.succeed('cat', ['/proc/net/xt_recent/FAIRLEAD'])).toContain('src=0.0.0.0 '),
      eventually,
    )

    expect(
      await machine.succeed('cat', [
        '/proc/sys/net/ipv4/ip_forward',
        '/proc/sys/net/ipv4/conf/cni0/rp_filter',
        '/proc/sys/net/ipv4/conf/fairlead.1/rp_filter',
      ]),
    ).toBe('1\n2\n2\n')
    expect(machine.warnings).toEqual([])
    expect(await askIn(machine, ['doctor'])).toMatchObject({
      exitCode: 0,
      stdout: expect.stringMatching(/^ok {6}agent\n/) as string,
    })
    // By this backend's rules, and as far as into the pod's namespace, where nobody listens.
    const traced = await askIn(machine, ['trace', '--to', 'n1:8080'])
    expect(traced).toMatchObject({
      exitCode: 1,
      stdout: expect.stringMatching(
        new RegExp(`^ok +nat FAIRLEAD-HOSTPORT-DNAT .*\\n +\\$ iptables-${backend} -t nat `, 'm'),
      ) as string,
    })
    expect(traced.stdout).toMatch(
      /^BROKEN {2}port 80\/tcp .*\n.*\n +no process listens on port 80\/tcp of default\/p1:/m,
    )
    for (const path of ['livez', 'readyz'])
      expect(
        (await machine.run('socat', ['-', 'TCP:127.0.0.1:10256'], { input: `GET /${path} HTTP/1.0\r\n\r\n` })).stdout,
      ).toMatch(/^HTTP\/1\.1 200 /)
    const metrics = new Set(
      [...(await machine.metrics()).matchAll(/^# TYPE ((?!process_|nodejs_)\w+)/gm)].map(([, name]) => name),
    )
    const described = [
      ...readFileSync(join(root, 'docs/operations.md'), 'utf8').matchAll(/^\| `((?:fairlead|kubeproxy)_\w+)` \|/gm),
    ].map(([, name]) => name)
    expect(new Set(described)).toEqual(metrics)
    expect(await machine.cni('DEL', { containerId: 'p1', netns: 'p1' })).toMatchObject({ code: 0 })

    await machine.killAgent('TERM')
    const cleaned = await runOnce(machine, cleanupPod, 'cleanup')
    expect(cleaned).toMatchObject({ exitCode: 0, stderr: '' })
    expect(
      await machine.succeed('sh', [
        '-c',
        `ls /run/fairlead ${machine.dir}/net.d ${machine.dir}/bin 2>&1; ip -br link; iptables-${backend}-save`,
      ]),
    ).not.toMatch(/cni0|fairlead\.1|veth\w|FAIRLEAD|KUBE-SVC|fairlead-cni|loopback|conflist/)
    expect(await runOnce(machine, cleanupPod, 'cleanup')).toMatchObject({
      exitCode: 0,
      stdout: expect.stringContaining('nothing of Fairlead is left') as string,
    })
  })

  test('puts back what a pod cannot have meant, and says of the others what is not as it was made', async () => {
    await using machine = await startNode('nft')
    startAgent(machine)
    await machine.ready()
    await startPod(machine, 'plain', {})
    await startPod(machine, 'vpn', { capabilities: { add: ['NET_ADMIN'] } })
    for (const name of ['plain', 'vpn']) await inPod(machine, name, 'ip link set eth0 down; ip link set eth0 up')
    await vi.waitFor(async () => expect(await inPod(machine, 'plain', 'ip route')).toContain('default via'), eventually)
    // News of no link: without NET_BROADCAST nobody would hear of it.
    await inPod(machine, 'plain', 'ip route del default')
    await vi.waitFor(async () => expect(await inPod(machine, 'plain', 'ip route')).toContain('default via'), eventually)
    await vi.waitFor(async () => {
      const { stdout } = await askIn(machine, ['status'])
      expect(stdout).toMatch(
        /^ {2}pods +2, last \d+ s ago: default\/plain: the default route via 10\.244\.1\.1 is missing$/m,
      )
      expect(stdout).toMatch(
        /^ {2}not as made: pod default\/vpn: the default route .* \(it may change its network: NET_ADMIN\)$/m,
      )
    }, eventually)
    expect(await inPod(machine, 'vpn', 'ip route')).not.toContain('default')
    expect(await askIn(machine, ['doctor'])).toMatchObject({
      exitCode: 0,
      stdout: expect.stringMatching(/^ok +pods +not as made: pod default\/vpn: the default route/m) as string,
    })
    expect(machine.warnings).toEqual([])
  })

  test('without NET_BROADCAST it still sees that a pod has no carrier', async () => {
    await using machine = await startNode('nft')
    startAgent(machine, without('NET_BROADCAST'))
    await machine.ready()
    await startPod(machine, 'plain', {})
    await inPod(machine, 'plain', 'ip link set eth0 down')
    await vi.waitFor(async () => expect(await inPod(machine, 'plain', 'ip route')).toContain('default via'), eventually)
    expect(machine.warnings).toEqual([])
  })

  test('without NET_ADMIN it changes nothing, and says so', async () => {
    await using machine = await startNode('nft')
    startAgent(machine, without('NET_ADMIN'))
    await vi.waitFor(() => expect(machine.warnings.join('\n')).toMatch(/not permitted|Permission denied/), eventually)
  })

  test('without SYS_ADMIN it cannot enter a pod', async () => {
    await using machine = await startNode('nft')
    startAgent(machine, without('SYS_ADMIN'))
    await machine.ready()
    await machine.addPodNamespace('p1')
    expect(await machine.cni('ADD', { containerId: 'p1', netns: 'p1' })).toMatchObject({
      exitCode: 1,
      document: { msg: expect.stringMatching(/Operation not permitted/) as string },
    })
  })

  test('without NET_RAW it does not see that the node uses iptables-legacy, and agent and doctor say so', async () => {
    await using machine = await startNode('legacy')
    startAgent(machine, without('NET_RAW'))
    await machine.ready()
    expect(await machine.succeed('iptables-legacy-save', [])).not.toContain('FAIRLEAD')
    const told =
      /This node has rules in iptables-legacy \(tables mangle\), which cannot be read without NET_RAW, so ours are written with iptables-nft/
    expect(machine.warnings.filter((sentence) => told.test(sentence))).toHaveLength(1)
    await machine.succeed('iptables-legacy', ['-A', 'INPUT', '-s', '192.0.2.1', '-j', 'ACCEPT'])
    const { exitCode, stdout } = await askIn(machine, ['doctor'], without('NET_RAW'))
    expect([exitCode, stdout]).toEqual([1, expect.stringMatching(told)])
    expect(stdout).toMatch(
      /the rules that this node has in iptables-legacy cannot be read \(.*\)\n +-> run the doctor as root with NET_ADMIN and NET_RAW/,
    )
  })
})

function without(capability: string): string[] {
  const all = agent.securityContext.capabilities.add ?? []
  expect(all).toContain(capability)
  return all.filter((name) => name !== capability)
}
