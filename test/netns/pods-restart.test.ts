import { spawn } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test, vi } from 'vitest'
import { hostVethName } from '../../src/net/interface-name.ts'
import { cni, nodeSettings, type PodNode, podNode, recordHooks, restart } from './pod-node.ts'
import { describeKernel, scratchNamespace } from './scratch.ts'

const vethsOf = async (node: PodNode): Promise<string[]> =>
  (await node.namespace.kernel.links()).filter(({ type }) => type === 'veth').map(({ name }) => name)
const filesOf = (node: PodNode): string[] => readdirSync(join(node.stateDir, 'attachments'))

describeKernel('an agent that starts again', () => {
  test('knows its pods, answers a replay the same, renews their ports, and leaves their wires alone', async () => {
    await using node = await podNode()
    await using pod = await scratchNamespace()
    const ports = { runtimeConfig: { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }] } }
    const first = await cni(node.network, 'ADD', { containerId: 'c1', netns: pod.path }, ports)
    const before = await node.namespace.kernel.links()
    const { hooks, calls } = recordHooks()
    await restart(node, { hooks })
    expect(calls).toEqual(['ports add c1'])
    expect(await node.namespace.kernel.links()).toEqual(before)
    expect((await cni(node.network, 'ADD', { containerId: 'c1', netns: pod.path }, ports)).text).toBe(first.text)
    expect((await cni(node.network, 'DEL', { containerId: 'c1' })).code).toBe(0)
  })

  test('lets an ADD wait until it has had its first look at the cluster', async () => {
    await using node = await podNode()
    await using pod = await scratchNamespace()
    node.network = node.agent()
    await node.network.start()
    const early = cni(node.network, 'ADD', { containerId: 'c1', netns: pod.path })
    await node.network.configure(nodeSettings)
    await node.network.reconcile()
    expect(await early).toMatchObject({ code: 0, document: { ips: [{ address: '10.244.1.2/24' }] } })
  })

  test('gives no address away before the flows of an earlier agent have ended', async () => {
    await using node = await podNode()
    await using pod = await scratchNamespace()
    const { promise: settled, resolve } = Promise.withResolvers<void>()
    const { hooks } = recordHooks()
    await restart(node, { hooks: { ...hooks, hostPorts: { ...hooks.hostPorts, settled } } })
    const early = cni(node.network, 'ADD', { containerId: 'c1', netns: pod.path })
    // It holds up no other command meanwhile, nor a pass.
    expect(await cni(node.network, 'DEL', { containerId: 'c2' })).toMatchObject({ code: 0 })
    await node.network.reconcile()
    await sleep(500)
    expect(node.network.ipamStatus()).toMatchObject([{ used: 0 }])
    resolve()
    expect(await early).toMatchObject({ code: 0, document: { ips: [{ address: '10.244.1.2/24' }] } })
  })

  test('takes back what pods left that went without a DEL, and lets their addresses rest', async () => {
    await using node = await podNode()
    {
      await using pod = await scratchNamespace()
      await cni(node.network, 'ADD', { containerId: 'c1', netns: pod.path })
      await cni(node.network, 'DEL', { containerId: 'c1' })
      await cni(node.network, 'ADD', { containerId: 'c2', netns: pod.path })
    }
    await vi.waitFor(async () => expect(await vethsOf(node)).toEqual([]), 60_000)
    await restart(node)
    expect([node.network.attachments.size, filesOf(node)]).toEqual([0, []])
    expect(node.network.ipamStatus()).toMatchObject([{ used: 0, resting: 2 }])
  })

  test('finds what a kill left at any point of ADD and DEL', async () => {
    await using node = await podNode()
    await using pod = await scratchNamespace()
    const host = hostVethName('c1', 'eth0')
    // Killed in ADD before the pod had its address: a veth alone.
    await cni(node.network, 'ADD', { containerId: 'c1', netns: pod.path })
    await pod.run('ip', ['addr', 'flush', 'dev', 'eth0'])
    const [name] = filesOf(node)
    const path = join(node.stateDir, 'attachments', name!)
    const text = readFileSync(path, 'utf8')
    writeFileSync(path, '')
    await restart(node)
    expect(node.network.ipamStatus()).toMatchObject([{ used: 0 }])
    expect((await node.namespace.kernel.links()).find((link) => link.name === host)?.master).toBeUndefined()
    // Killed in DEL after the veth was cut off: an attachment whose veth is retired.
    expect((await cni(node.network, 'ADD', { containerId: 'c1', netns: pod.path })).code).toBe(0)
    writeFileSync(path, text)
    await node.namespace.run('ip', ['link', 'set', host, 'down', 'nomaster', 'group', '99'])
    await restart(node)
    expect([await vethsOf(node), node.network.attachments.size, filesOf(node)]).toEqual([[], 0, [`${name}.unreadable`]])
    expect(node.network.ipamStatus()).toMatchObject([{ used: 0, resting: 1 }])
  })

  test('waits one more round for a path that is gone while its veth lives, then takes it back', async () => {
    let time = 1e12
    await using node = await podNode({ clock: () => time })
    await using pod = await scratchNamespace()
    await using other = await scratchNamespace()
    await cni(node.network, 'ADD', { containerId: 'c1', netns: pod.path })
    await cni(node.network, 'ADD', { containerId: 'c2', netns: other.path })
    // A process inside keeps the namespace, as a leaked mount would: the path alone goes.
    const holder = spawn('nsenter', [`--net=${pod.path}`, 'sleep', '600'])
    await vi.waitFor(
      async () => expect(await pod.run('ip', ['netns', 'pids', pod.name])).toContain(String(holder.pid)),
      60_000,
    )
    try {
      await node.namespace.run('ip', ['netns', 'del', pod.name])
      for (const left of [2, 1]) {
        time += 60_000
        await node.network.reconcile()
        expect(node.network.attachments.size).toBe(left)
      }
      expect([...node.network.attachments.values()].map(({ containerId }) => containerId)).toEqual(['c2'])
    } finally {
      holder.kill()
    }
  })

  test('removes veths of ours alone', async () => {
    await using node = await podNode()
    await node.namespace.run('ip', ['link', 'add', 'foreign0', 'type', 'veth', 'peer', 'name', 'foreign1'])
    await node.namespace.run('ip', ['link', 'add', 'lost0', 'group', '98', 'type', 'veth', 'peer', 'name', 'lost1'])
    await node.namespace.run('ip', ['link', 'add', 'ours.1', 'group', '98', 'type', 'bridge'])
    await restart(node)
    await vi.waitFor(async () => expect((await vethsOf(node)).toSorted()).toEqual(['foreign0', 'foreign1']), 60_000)
    expect((await node.namespace.kernel.links()).map((link) => link.name)).toContain('ours.1')
  })
})
