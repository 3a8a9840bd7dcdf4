// Agents that find pods running and no records of them: the state directory was emptied or is another one, a record is
// damaged. No running pod may lose its network by that.
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { parseCidr } from '../../src/net/cidr.ts'
import { hostVethName } from '../../src/net/interface-name.ts'
import { PodBandwidth, ifbName } from '../../src/pods/bandwidth.ts'
import { PodRules } from '../../src/pods/rules/rules.ts'
import { dualSettings } from '../../src/pods/rules/rule-inputs.ts'
import {
  cni,
  type CniAnswer,
  nodeSettings,
  type PodNode,
  podNode,
  recordHooks,
  restart,
  withoutBridgeNetfilter,
} from './pod-node.ts'
import { describeKernel, type ScratchNamespace, scratchNamespace, testLog } from './scratch.ts'

const emptyStateDir = (node: PodNode): void => rmSync(node.stateDir, { recursive: true })
const linkNames = async (node: PodNode): Promise<string[]> =>
  (await node.namespace.kernel.links()).map(({ name }) => name)
const addressesOf = ({ document }: CniAnswer): string[] => (document.ips ?? []).map(({ address }) => address)
const c1 = { containerId: 'c1', host: hostVethName('c1', 'eth0') }
const port = { runtimeConfig: { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }] } }

async function ping(pod: ScratchNamespace, target: string): Promise<void> {
  await pod.run('ping', ['-c', '1', '-W', '5', target])
}

describeKernel('an agent without records', () => {
  for (const { name, settings, kernelOf } of [
    { name: 'IPv4' },
    { name: 'dual-stack', settings: { podCidrs: [...nodeSettings.podCidrs, parseCidr('fd00:244:1::/64')] } },
    { name: 'IPv6', settings: { podCidrs: [parseCidr('fd00:244:1::/64')] } },
    { name: 'routed', kernelOf: withoutBridgeNetfilter },
  ]) {
    test(`rebuilds attachments as they were: ${name}`, async () => {
      await using node = await podNode({ ...(settings && { settings }), ...(kernelOf && { kernelOf }) })
      await using pod = await scratchNamespace()
      await using other = await scratchNamespace()
      const added = await cni(node.network, 'ADD', { ...c1, netns: pod.path })
      const before = [...node.network.attachments.values()]
      const links = await node.namespace.kernel.links()
      emptyStateDir(node)
      const rebuilt: string[] = []
      await restart(node, { rebuilt: (pods) => void rebuilt.push(...pods) }, settings)

      expect([...node.network.attachments.values()]).toEqual(before.map((each) => ({ ...each, createdAt: 0 })))
      expect(rebuilt).toEqual(['attachment of default/c1'])
      expect(await node.namespace.kernel.links()).toEqual(links)
      await ping(pod, String(added.document.ips?.[0]?.gateway))
      // The runtime goes on as if nothing had been.
      expect(await cni(node.network, 'ADD', { ...c1, netns: pod.path })).toMatchObject({ code: 0, text: added.text })
      const check = await cni(node.network, 'CHECK', { ...c1, netns: pod.path }, { prevResult: added.document })
      expect(check).toMatchObject({ code: 0 })
      const next = await cni(node.network, 'ADD', { containerId: 'c2', netns: other.path })
      expect(addressesOf(next)).not.toEqual(expect.arrayContaining(addressesOf(added)))
      // On disk again, too.
      await restart(node, { rebuilt: (pods) => void rebuilt.push(...pods) }, settings)
      expect([node.network.attachments.size, rebuilt.length]).toEqual([2, 1])
      const valid = { 'cni.dev/valid-attachments': [{ containerID: 'c2', ifname: 'eth0' }] }
      expect(await cni(node.network, 'GC', c1, valid)).toMatchObject({ code: 0 })
      expect([...node.network.attachments.keys()]).toEqual([hostVethName('c2', 'eth0')])
      expect(await cni(node.network, 'DEL', { containerId: 'c2' })).toMatchObject({ code: 0 })
      await vi.waitFor(async () => expect((await linkNames(node)).join()).not.toContain('veth'), 60_000)
    })
  }

  test.each([
    ['cut off', (path: string) => truncateSync(path, 40)],
    ['empty', (path: string) => truncateSync(path)],
    ['of a version to come', (path: string) => writeFileSync(path, '{"version":7,"attachment":{"id":"c1"}}')],
    ['missing', (path: string) => rmSync(path)],
  ])('gives a pod whose record alone is %s its attachment back', async (_, damage) => {
    await using node = await podNode()
    await using pod = await scratchNamespace()
    await using other = await scratchNamespace()
    await cni(node.network, 'ADD', { ...c1, netns: pod.path })
    const [file = ''] = readdirSync(join(node.stateDir, 'attachments'))
    await cni(node.network, 'ADD', { containerId: 'c2', netns: other.path })
    const before = node.network.attachments.get(c1.host)
    damage(join(node.stateDir, 'attachments', file))
    await restart(node)
    expect(node.network.attachments.get(c1.host)).toEqual({ ...before, createdAt: 0 })
    expect(node.network.attachments.size).toBe(2)
    await ping(pod, '10.244.1.1')
  })

  test('writes a record that another program has damaged while it runs', async () => {
    await using node = await podNode()
    await using pod = await scratchNamespace()
    await cni(node.network, 'ADD', { ...c1, netns: pod.path })
    const [file = ''] = readdirSync(join(node.stateDir, 'attachments'))
    const path = join(node.stateDir, 'attachments', file)
    const text = readFileSync(path, 'utf8')
    expect(node.network.restoreFiles()).toBe(false)
    truncateSync(path, 10)
    expect(node.network.restoreFiles()).toBe(true)
    expect(readFileSync(path, 'utf8')).toBe(text)
  })

  test('takes ports and limits from what the runtime has cached', async () => {
    const { hooks, calls } = recordHooks()
    const cniDir = mkdtempSync(join(tmpdir(), 'fairlead-cni-'))
    await using node = await podNode({ hooks, cniDir })
    await using pod = await scratchNamespace()
    const capabilityArgs = {
      portMappings: [{ HostPort: 8080, ContainerPort: 80, Protocol: 'tcp', HostIP: '' }],
      bandwidth: { IngressRate: 1e6, IngressBurst: 1e6 },
    }
    const conf = { runtimeConfig: capabilityArgs }
    const { document: result } = await cni(node.network, 'ADD', { ...c1, netns: pod.path }, conf)
    const before = node.network.attachments.get(c1.host)
    mkdirSync(join(cniDir, 'results'))
    const cniArgs = [
      ['K8S_POD_NAMESPACE', 'default'],
      ['K8S_POD_NAME', 'c1'],
    ]
    const named = { containerId: 'c1', ifName: 'eth0', networkName: 'fairlead', netns: pod.path }
    writeFileSync(
      join(cniDir, 'results', 'fairlead-c1-eth0'),
      JSON.stringify({ kind: 'cniCacheV1', ...named, cniArgs, capabilityArgs, result }),
    )
    // As an agent of an earlier version left it.
    await node.namespace.run('ip', ['link', 'set', c1.host, 'alias', ''])
    emptyStateDir(node)
    calls.length = 0
    await restart(node)
    rmSync(cniDir, { recursive: true })
    expect(node.network.attachments.get(c1.host)).toEqual({ ...before, createdAt: 0 })
    expect(calls).toEqual(['ports add c1', 'bandwidth add c1'])
  })

  for (const backend of ['nft', 'legacy'] as const) {
    test(`takes ports from the rules where nothing is cached, and leaves these alone: ${backend}`, async () => {
      await using node = await podNode({ iptables: backend })
      const { kernel, iptables } = node.namespace
      const agentOf = (): { rules: PodRules; hooks: ReturnType<typeof recordHooks>['hooks'] } => {
        const rules = new PodRules({ kernel, iptables, log: testLog, families: [4] })
        rules.configure({ ...dualSettings, localPodCidrs: nodeSettings.podCidrs })
        return { rules, hooks: { ...recordHooks().hooks, hostPorts: rules } }
      }
      const first = agentOf()
      await restart(node, { hooks: first.hooks })
      await first.rules.reconcile([])
      await using pod = await scratchNamespace()
      expect(await cni(node.network, 'ADD', { ...c1, netns: pod.path }, port)).toMatchObject({ code: 0 })
      const rulesBefore = await iptables.rulesOf(4, 'nat', 'FAIRLEAD-HOSTPORT-DNAT')
      expect(rulesBefore).toHaveLength(2)
      emptyStateDir(node)
      const second = agentOf()
      await restart(node, { hooks: second.hooks })
      const { restores } = await second.rules.reconcile([...node.network.attachments.values()])
      expect(restores).toBe(0)
      expect(await iptables.rulesOf(4, 'nat', 'FAIRLEAD-HOSTPORT-DNAT')).toEqual(rulesBefore)
      expect(await cni(node.network, 'DEL', { containerId: 'c1' })).toMatchObject({ code: 0 })
      expect(await iptables.rulesOf(4, 'nat', 'FAIRLEAD-HOSTPORT-DNAT')).toHaveLength(1)
    })
  }

  test('knows a pod of an earlier version by its addresses, and serves its runtime all the same', async () => {
    const { hooks, calls } = recordHooks()
    await using node = await podNode({ hooks })
    await using pod = await scratchNamespace()
    const added = await cni(node.network, 'ADD', { ...c1, netns: pod.path })
    await node.namespace.run('ip', ['link', 'set', c1.host, 'alias', ''])
    emptyStateDir(node)
    await restart(node)
    expect(node.network.attachments.get(c1.host)).toMatchObject({ containerId: undefined, pod: undefined })
    const known = { namespace: 'default', name: 'c1', uid: 'u1', addresses: ['10.244.1.2'] }
    node.network.namePods(() => [known as never])
    expect(node.network.attachments.get(c1.host)?.pod).toEqual({ namespace: 'default', name: 'c1', uid: 'u1' })
    const check = await cni(node.network, 'CHECK', { ...c1, netns: pod.path }, { prevResult: added.document })
    expect(check).toMatchObject({ code: 0 })
    // GC of a network that it may not be of lets it be.
    await cni(node.network, 'GC', c1, { 'cni.dev/valid-attachments': [] })
    expect(node.network.attachments.size).toBe(1)
    // A runtime that repeats its ADD says all that was lost.
    const again = await cni(node.network, 'ADD', { ...c1, netns: pod.path }, port)
    expect(addressesOf(again)).toEqual(addressesOf(added))
    expect(node.network.attachments.get(c1.host)).toMatchObject({ containerId: 'c1', network: 'fairlead' })
    expect(calls).toContain('ports add c1')
    expect(readdirSync(join(node.stateDir, 'attachments'))).toHaveLength(1)
    expect(await cni(node.network, 'DEL', { containerId: 'c1' })).toMatchObject({ code: 0 })
    expect(readdirSync(join(node.stateDir, 'attachments'))).toEqual([])
  })

  test('rebuilds what a pod has changed as its ADD made it: eth0 down, another address beside its own', async () => {
    await using node = await podNode()
    await using pod = await scratchNamespace()
    await cni(node.network, 'ADD', { ...c1, netns: pod.path })
    const before = node.network.attachments.get(c1.host)
    await pod.run('ip', ['addr', 'add', '10.99.0.1/24', 'dev', 'eth0'])
    await pod.run('ip', ['link', 'set', 'eth0', 'down'])
    emptyStateDir(node)
    await restart(node)
    expect(node.network.attachments.get(c1.host)).toEqual({ ...before, createdAt: 0 })
  })

  test('leaves alone what it cannot know, reports it, and lets nobody have its address', async () => {
    let time = 1e12
    await using node = await podNode({ clock: () => time })
    await using pod = await scratchNamespace()
    await using other = await scratchNamespace()
    await cni(node.network, 'ADD', { ...c1, netns: pod.path })
    await ping(pod, '10.244.1.1')
    // A process holds the namespace, and no name leads there: as with a runtime that keeps them elsewhere.
    const holder = spawn('nsenter', [`--net=${pod.path}`, 'sleep', '600'])
    await vi.waitFor(
      async () => expect(await pod.run('ip', ['netns', 'pids', pod.name])).toContain(String(holder.pid)),
      60_000,
    )
    try {
      await node.namespace.run('ip', ['netns', 'del', pod.name])
      emptyStateDir(node)
      await restart(node)
      for (let round = 0; round < 3; round++) {
        time += 60_000
        const { problems } = await node.network.reconcile()
        expect(problems).toEqual([expect.stringContaining(`${c1.host} may be of a running pod`)])
      }
      expect((await node.namespace.kernel.links()).find(({ name }) => name === c1.host)?.master).toBe('cni0')
      await node.namespace.run('ping', ['-c', '1', '-W', '5', '10.244.1.2'])
      const next = await cni(node.network, 'ADD', { containerId: 'c2', netns: other.path })
      expect(addressesOf(next)).toEqual(['10.244.1.3/24'])
      // The runtime's DEL ends it all the same.
      expect(await cni(node.network, 'DEL', { containerId: 'c1' })).toMatchObject({ code: 0 })
      await vi.waitFor(async () => expect(await linkNames(node)).not.toContain(c1.host), 60_000)
      time += 60_000
      expect((await node.network.reconcile()).problems).toEqual([])
    } finally {
      holder.kill()
    }
  })

  test('removes an ADD that ended before the pod had its address, and keeps one that may run until it is deleted', async () => {
    await using node = await podNode()
    await using pod = await scratchNamespace()
    await cni(node.network, 'ADD', { ...c1, netns: pod.path })
    await pod.run('ip', ['addr', 'flush', 'dev', 'eth0'])
    emptyStateDir(node)
    await restart(node)
    await vi.waitFor(async () => expect(await linkNames(node)).not.toContain(c1.host), 60_000)
    // The same, a moment later: the address was there, the record not. Its runtime gives up and deletes it.
    await cni(node.network, 'ADD', { ...c1, netns: pod.path })
    emptyStateDir(node)
    await restart(node)
    expect(node.network.ipamStatus()).toMatchObject([{ used: 1 }])
    expect(await cni(node.network, 'DEL', { ...c1, netns: pod.path })).toMatchObject({ code: 0 })
    expect(node.network.ipamStatus()).toMatchObject([{ used: 0, resting: 1 }])
  })

  test('takes back what is rebuilt when its namespace goes, with what limited its pod', async () => {
    let time = 1e12
    await using node = await podNode({ clock: () => time })
    const bandwidth = new PodBandwidth({ kernel: node.namespace.kernel, log: testLog })
    const hooks = { ...recordHooks().hooks, bandwidth }
    await restart(node, { hooks })
    {
      await using pod = await scratchNamespace()
      const limits = { EgressRate: 1e6, EgressBurst: 1e6 }
      const conf = { runtimeConfig: { bandwidth: limits } }
      expect(await cni(node.network, 'ADD', { ...c1, netns: pod.path }, conf)).toMatchObject({ code: 0 })
      emptyStateDir(node)
      await restart(node, { hooks })
      expect(await linkNames(node)).toContain(ifbName(c1.host))
      expect(node.network.ipamStatus()).toMatchObject([{ used: 1 }])
    }
    await vi.waitFor(async () => expect(await linkNames(node)).not.toContain(c1.host), 60_000)
    await vi.waitFor(async () => {
      time += 60_000
      await node.network.reconcile()
      expect(node.network.attachments.size).toBe(0)
      expect(await linkNames(node)).not.toContain(ifbName(c1.host))
    }, 60_000)
  })

  test('finds nothing of a pod that went while it was away, but what limited it', async () => {
    await using node = await podNode()
    const hooks = {
      ...recordHooks().hooks,
      bandwidth: new PodBandwidth({ kernel: node.namespace.kernel, log: testLog }),
    }
    await restart(node, { hooks })
    {
      await using pod = await scratchNamespace()
      const conf = { runtimeConfig: { bandwidth: { EgressRate: 1e6, EgressBurst: 1e6 } } }
      await cni(node.network, 'ADD', { ...c1, netns: pod.path }, conf)
      emptyStateDir(node)
    }
    await vi.waitFor(async () => expect(await linkNames(node)).not.toContain(c1.host), 60_000)
    await restart(node, { hooks })
    expect((await linkNames(node)).filter((name) => /^(veth|ifb)/.test(name))).toEqual([])
    expect(node.network.attachments.size).toBe(0)
  })

  test('lets addresses rest that the node has met, since it is not known which were free', async () => {
    await using node = await podNode()
    await using pod = await scratchNamespace()
    await using other = await scratchNamespace()
    await cni(node.network, 'ADD', { ...c1, netns: pod.path })
    await cni(node.network, 'ADD', { containerId: 'c2', netns: other.path })
    await ping(other, '10.244.1.1')
    await cni(node.network, 'DEL', { containerId: 'c2', netns: other.path })
    emptyStateDir(node)
    await restart(node)
    expect(node.network.ipamStatus()).toMatchObject([{ used: 1, resting: 1 }])
    expect(addressesOf(await cni(node.network, 'ADD', { containerId: 'c3', netns: other.path }))).toEqual([
      '10.244.1.4/24',
    ])
  })
})
