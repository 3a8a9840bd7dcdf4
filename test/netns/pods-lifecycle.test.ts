import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import type { Kernel } from '../../src/kernel/kernel.ts'
import { hostVethName } from '../../src/net/interface-name.ts'
import { cniCodes } from '../../src/pods/cni/cni-error.ts'
import { cni, type PodNode, podNode, recordHooks } from './pod-node.ts'
import { describeKernel, type ScratchNamespace, scratchNamespace } from './scratch.ts'

const filesOf = (node: PodNode): string[] => readdirSync(join(node.stateDir, 'attachments'))
const vethsOf = async (node: PodNode): Promise<string[]> =>
  (await node.namespace.kernel.links()).filter(({ type }) => type === 'veth').map(({ name }) => name)
const used = (node: PodNode): [number, number] =>
  node.network.ipamStatus().map((pool): [number, number] => [pool.used, pool.resting])[0]!
const port = {
  runtimeConfig: {
    portMappings: [{ HostPort: 8080, ContainerPort: 80, Protocol: 'tcp' }],
    bandwidth: { IngressRate: 1e6, IngressBurst: 1e6 },
  },
}

/** What comes to a UDP port of the namespace, until disposed. */
async function hear(where: ScratchNamespace, at: number): Promise<AsyncDisposable & { readonly heard: string }> {
  const child = spawn('nsenter', [`--net=${where.path}`, 'socat', '-u', `UDP4-RECV:${at}`, '-'])
  let heard = ''
  child.stdout.on('data', (piece: Buffer) => (heard += piece.toString()))
  await vi.waitFor(async () => expect(await where.run('ss', ['-Hlnu', `sport = :${at}`])).not.toBe(''), 60_000)
  return {
    get heard() {
      return heard
    },
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGKILL')
      await once(child, 'exit')
    },
  }
}

describeKernel('ADD', () => {
  test('answers what the kernel then holds, and CHECK names each difference', async () => {
    const phases: string[] = []
    const requests: [string, number][] = []
    await using node = await podNode({
      observe: (phase) => phases.push(phase),
      observeRequest: (command, code) => requests.push([command, code]),
    })
    await using pod = await scratchNamespace()
    const added = await cni(node.network, 'ADD', { containerId: 'c1', netns: pod.path })
    expect(phases).toEqual(['parse', 'allocate', 'veth', 'namespace', 'persist', 'policy'])
    expect(requests).toEqual([['ADD', 0]])
    expect(added.document).toMatchObject({
      interfaces: [
        { name: hostVethName('c1', 'eth0'), mtu: 1450 },
        { name: 'eth0', mac: '0a:58:0a:f4:01:02', mtu: 1450, sandbox: pod.path },
      ],
      ips: [{ address: '10.244.1.2/24', gateway: '10.244.1.1', interface: 1 }],
      routes: [{ dst: '0.0.0.0/0', gw: '10.244.1.1' }],
    })
    const check = () =>
      cni(node.network, 'CHECK', { containerId: 'c1', netns: pod.path }, { prevResult: added.document })
    expect(await check()).toMatchObject({ code: 0, text: '' })
    await pod.run('ip', ['addr', 'flush', 'dev', 'eth0', 'scope', 'global'])
    await pod.run('ip', ['link', 'set', 'eth0', 'mtu', '1400'])
    await node.namespace.run('ip', ['link', 'set', hostVethName('c1', 'eth0'), 'nomaster'])
    const { code, document } = await check()
    expect(code).toBe(cniCodes.stateDiffers)
    for (const difference of [
      'not on bridge cni0',
      'lacks address 10.244.1.2/24',
      'MTU 1400 instead of 1450',
      'default route via 10.244.1.1 is missing',
    ])
      expect(document.details).toContain(difference)
  })

  test('brings the pod no packet that was sent to the one that had its address', async () => {
    await using node = await podNode()
    await using pod = await scratchNamespace()
    await using socket = await hear(pod, 9000)
    const say = (word: string) =>
      node.namespace.run('socat', ['-u', '-', 'UDP4-SENDTO:10.244.1.2:9000'], { input: word })
    await say('before')
    await cni(node.network, 'ADD', { containerId: 'c1', netns: pod.path })
    await vi.waitFor(
      async () => {
        await say('after')
        expect(socket.heard).toContain('after')
      },
      { timeout: 60_000, interval: 100 },
    )
    expect(socket.heard).not.toContain('before')
  })

  test('repeated is the same answer and no second address; in a namespace that was emptied it is made anew', async () => {
    await using node = await podNode()
    await using pod = await scratchNamespace()
    const one = { containerId: 'c1', netns: pod.path }
    const first = await cni(node.network, 'ADD', one)
    expect((await cni(node.network, 'ADD', one)).text).toBe(first.text)
    await pod.run('ip', ['link', 'del', 'eth0'])
    expect((await cni(node.network, 'ADD', one)).document.ips?.[0]?.address).toBe('10.244.1.3/24')
    expect(used(node)).toEqual([1, 1])
  })

  test('of another container in the same namespace takes the place of the older', async () => {
    const { hooks, calls } = recordHooks()
    await using node = await podNode({ hooks })
    await using pod = await scratchNamespace()
    await cni(node.network, 'ADD', { containerId: 'old', netns: pod.path }, port)
    const added = await cni(node.network, 'ADD', { containerId: 'new', netns: pod.path })
    expect(added.document.ips?.[0]?.address).toBe('10.244.1.3/24')
    expect([...node.network.attachments.values()].map(({ containerId }) => containerId)).toEqual(['new'])
    expect(calls).toEqual(['ports add old', 'bandwidth add old', 'ports remove old', 'bandwidth remove old'])
    expect(await vethsOf(node)).toEqual([hostVethName('new', 'eth0')])
  })

  test('that fails leaves nothing behind', async () => {
    const { hooks, calls } = recordHooks()
    await using node = await podNode({
      hooks: {
        ...hooks,
        hostPorts: { ...hooks.hostPorts, add: async () => Promise.reject(new Error('port 8080 is taken')) },
      },
    })
    await using pod = await scratchNamespace()
    const one = { containerId: 'c1', netns: pod.path }
    expect(await cni(node.network, 'ADD', one, port)).toMatchObject({
      code: 999,
      document: { msg: 'port 8080 is taken' },
    })
    expect(calls).toEqual(['ports remove c1', 'bandwidth remove c1'])
    expect([filesOf(node), node.network.attachments.size, used(node)]).toEqual([[], 0, [0, 1]])
    await vi.waitFor(async () => expect(await vethsOf(node)).toEqual([]), 60_000)

    await pod.run('ip', ['link', 'add', 'eth0', 'type', 'bridge'])
    expect(await cni(node.network, 'ADD', one)).toMatchObject({
      code: 4,
      document: { msg: `network namespace ${pod.path} already has an interface eth0` },
    })
    expect([await vethsOf(node), used(node)]).toEqual([[], [0, 2]])
  })

  test("into a namespace that is gone, the node's own, or not the one the runtime sees is refused", async () => {
    await using node = await podNode()
    const message = async (netns: string): Promise<unknown> => {
      const { code, document } = await cni(node.network, 'ADD', { containerId: 'c1', netns })
      return [code, document.msg]
    }
    expect(await message('/run/netns/ft-none')).toEqual([8, 'network namespace /run/netns/ft-none does not exist'])
    expect(await message('/proc/self/ns/net')).toEqual([8, "network namespace /proc/self/ns/net is the node's own"])
    expect(await message('/etc/hostname')).toEqual([8, 'CNI_NETNS /etc/hostname is not a network namespace'])
    expect(used(node)).toEqual([0, 0])
  })

  test('twenty at once each get an address of their own', async () => {
    await using node = await podNode()
    await using stack = new AsyncDisposableStack()
    const pods = await Promise.all(Array.from({ length: 20 }, async () => stack.use(await scratchNamespace())))
    const answers = await Promise.all(
      pods.map(({ name, path }) => cni(node.network, 'ADD', { containerId: name, netns: path })),
    )
    expect(new Set(answers.map(({ document }) => document.ips?.[0]?.address)).size).toBe(pods.length)
    expect((await node.network.reconcile()).changes).toEqual([])
    expect(
      (await Promise.all(pods.map(({ name }) => cni(node.network, 'DEL', { containerId: name })))).map(
        ({ code }) => code,
      ),
    ).toEqual(pods.map(() => 0))
    await vi.waitFor(async () => expect(await vethsOf(node)).toEqual([]), 60_000)
  })

  test('that takes too long is answered in time and undone when it ends', async () => {
    const { promise: gate, resolve: open } = Promise.withResolvers<void>()
    const slow = (kernel: Kernel): Kernel =>
      new Proxy(kernel, {
        get: (target, name: keyof Kernel) => {
          if (name === 'applyIn')
            return async (...args: Parameters<Kernel['applyIn']>) => (await gate, target.applyIn(...args))
          const value = target[name]
          return typeof value === 'function' ? value.bind(target) : value
        },
      })
    await using node = await podNode({ kernelOf: slow, deadlineMs: 50 })
    await using pod = await scratchNamespace()
    expect(await cni(node.network, 'ADD', { containerId: 'c1', netns: pod.path })).toMatchObject({
      code: 11,
      document: { msg: 'ADD took longer than 0.05 s' },
    })
    open()
    await vi.waitFor(
      async () => expect([await vethsOf(node), filesOf(node), used(node)]).toEqual([[], [], [0, 1]]),
      60_000,
    )
  })
})

describeKernel('DEL', () => {
  test('frees the address and cuts the pod off before it answers, and never minds what is gone', async () => {
    await using node = await podNode()
    await using pod = await scratchNamespace()
    const one = { containerId: 'c1', netns: pod.path }
    await cni(node.network, 'ADD', one)
    expect(await cni(node.network, 'DEL', one)).toMatchObject({ code: 0, text: '' })
    expect([used(node), filesOf(node)]).toEqual([[0, 1], []])
    const left = (await node.namespace.kernel.links()).find(({ name }) => name === hostVethName('c1', 'eth0'))
    expect([left?.up ?? false, left?.master]).toEqual([false, undefined])
    // The old veth may still wait to be deleted: it must not be in the way.
    expect((await cni(node.network, 'ADD', one)).document.ips?.[0]?.address).toBe('10.244.1.3/24')
    for (const again of [{ containerId: 'c1' }, one, { containerId: 'never' }])
      expect((await cni(node.network, 'DEL', again)).code).toBe(0)
    await vi.waitFor(async () => expect(await vethsOf(node)).toEqual([]), 60_000)
  })

  test('finds its attachment after the network was renamed', async () => {
    await using node = await podNode()
    await using pod = await scratchNamespace()
    await cni(node.network, 'ADD', { containerId: 'c1', netns: pod.path })
    await cni(node.network, 'DEL', { containerId: 'c1' }, { name: 'renamed' })
    expect(node.network.attachments.size).toBe(0)
  })

  test('that could not withdraw a port fails, keeps the address, and succeeds when repeated', async () => {
    const { hooks } = recordHooks()
    let broken = true
    const remove = async (): Promise<void> => {
      if (broken) throw new Error('the lock is held')
    }
    await using node = await podNode({ hooks: { ...hooks, hostPorts: { ...hooks.hostPorts, remove } } })
    await using pod = await scratchNamespace()
    await cni(node.network, 'ADD', { containerId: 'c1', netns: pod.path }, port)
    expect((await cni(node.network, 'DEL', { containerId: 'c1' })).code).toBe(999)
    expect([used(node), filesOf(node).length]).toEqual([[1, 0], 1])
    broken = false
    expect((await cni(node.network, 'DEL', { containerId: 'c1' })).code).toBe(0)
    expect(filesOf(node)).toEqual([])
  })
})

describeKernel('GC', () => {
  test('takes away what the runtime does not list, of its network alone', async () => {
    await using node = await podNode()
    await using stack = new AsyncDisposableStack()
    const pods = await Promise.all([1, 2, 3].map(async () => stack.use(await scratchNamespace())))
    for (const [i, network] of ['fairlead', 'fairlead', 'other'].entries())
      await cni(node.network, 'ADD', { containerId: `c${i}`, netns: pods[i]!.path }, { name: network })
    expect(
      (
        await cni(
          node.network,
          'GC',
          { containerId: '' },
          { 'cni.dev/valid-attachments': [{ containerID: 'c1', ifname: 'eth0' }] },
        )
      ).code,
    ).toBe(0)
    expect([...node.network.attachments.values()].map(({ containerId }) => containerId)).toEqual(['c1', 'c2'])
  })
})
