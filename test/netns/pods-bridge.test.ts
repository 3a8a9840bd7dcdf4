import { expect, test } from 'vitest'
import type { Kernel } from '../../src/kernel/kernel.ts'
import { parseCidr } from '../../src/net/cidr.ts'
import { hostVethName } from '../../src/net/interface-name.ts'
import type { BandwidthHook } from '../../src/pods/hooks.ts'
import { cni, nodeSettings, podNode, recordHooks } from './pod-node.ts'
import { describeKernel, scratchNamespace, testLog } from './scratch.ts'
import { callFrom, listenIn } from './traffic.ts'

describeKernel('the bridge', () => {
  test('is put back with the least change after whatever was done to it', async () => {
    await using node = await podNode()
    await using pod = await scratchNamespace()
    await cni(node.network, 'ADD', { containerId: 'c1', netns: pod.path })
    const host = hostVethName('c1', 'eth0')
    const settled = await node.namespace.kernel.links()
    const { kernel } = node.namespace
    expect((await node.network.reconcile()).changes).toEqual([])

    await node.namespace.run('ip', ['link', 'set', host, 'type', 'bridge_slave', 'hairpin', 'off'])
    await kernel.writeSysctl('net/ipv4/ip_forward', '0')
    await kernel.writeSysctl('net/bridge/bridge-nf-call-iptables', '0')
    await kernel.writeSysctl('net/ipv4/conf/cni0/rp_filter', '1')
    const healed = await node.network.reconcile()
    expect([healed.changes.map(({ line }) => line), healed.failures]).toEqual([
      [`link set ${host} type bridge_slave hairpin on`],
      [],
    ])
    const keys = [
      'net/ipv4/ip_forward',
      'net/bridge/bridge-nf-call-iptables',
      'net/ipv4/conf/cni0/rp_filter',
      'net/ipv4/conf/all/send_redirects',
      'net/ipv6/conf/cni0/accept_ra',
    ]
    expect(await Promise.all(keys.map((key) => kernel.readSysctl(key)))).toEqual(['1', '1', '2', '0', '0'])

    await node.namespace.run('ip', ['link', 'del', 'cni0'])
    expect((await node.network.reconcile()).failures).toEqual([])
    const rebuilt = await kernel.links()
    const essence = (links: typeof settled) =>
      links
        .map(({ name, mac, mtu, up, group, master, hairpin }) => ({ name, mac, mtu, up, group, master, hairpin }))
        .toSorted((a, b) => a.name.localeCompare(b.name))
    expect(essence(rebuilt)).toEqual(essence(settled))
    expect((await node.network.reconcile()).changes).toEqual([])
    await using server = await listenIn(pod, 8080)
    expect(await callFrom(node.namespace, '10.244.1.2', server.port)).toMatch(/10\.244\.1\.1$/)
  })

  test('serves a new podCIDR while pods of the former one go on', async () => {
    await using node = await podNode()
    await using old = await scratchNamespace()
    await using young = await scratchNamespace()
    await cni(node.network, 'ADD', { containerId: 'old', netns: old.path })
    await node.network.configure({ ...nodeSettings, podCidrs: [parseCidr('10.244.7.0/24')] })
    await node.network.reconcile()
    const added = await cni(node.network, 'ADD', { containerId: 'young', netns: young.path })
    expect(added.document.ips).toEqual([{ address: '10.244.7.2/24', gateway: '10.244.7.1', interface: 1 }])
    await using server = await listenIn(old, 8080)
    expect(await callFrom(young, '10.244.1.2', server.port)).toMatch(/10\.244\.7\.2$/)
    await cni(node.network, 'DEL', { containerId: 'old' })
    expect((await node.network.reconcile()).changes.map(({ line }) => line)).toEqual([
      'addr del 10.244.1.1/24 dev cni0',
    ])
  })

  test.each(['before it is recorded', 'before its answer'])(
    'sees nothing to put right in a pod whose links were read while its ADD was making it: %s',
    async (until) => {
      // The links are read when the veth has no hairpin yet, and compared later.
      const [half, read, compare] = [
        Promise.withResolvers<void>(),
        Promise.withResolvers<void>(),
        Promise.withResolvers<void>(),
      ]
      let making = false
      const kernelOf = (kernel: Kernel): Kernel =>
        standIn(kernel, {
          apply: async (changes) => {
            const at = changes.findIndex(({ line }) => line.startsWith('link add veth'))
            if (at < 0) return await kernel.apply(changes)
            const first = await kernel.apply(changes.slice(0, at + 1))
            making = true
            half.resolve()
            await read.promise
            return [...first, ...(await kernel.apply(changes.slice(at + 1)))]
          },
          links: async () => {
            const links = await kernel.links()
            if (!making) return links
            making = false
            read.resolve()
            await compare.promise
            return links
          },
        })
      const hooks = recordHooks().hooks
      const bandwidth: BandwidthHook = {
        add: async () => {
          if (until === 'before its answer') compare.resolve()
          await reconciled
        },
        remove: async () => undefined,
      }
      await using node = await podNode({ kernelOf, hooks: { ...hooks, bandwidth } })
      await using pod = await scratchNamespace()
      const conf =
        until === 'before its answer' ? { runtimeConfig: { bandwidth: { ingressRate: 1e6, ingressBurst: 1e6 } } } : {}
      const adding = cni(node.network, 'ADD', { containerId: 'c1', netns: pod.path }, conf)
      const reconciled = half.promise.then(() => node.network.reconcile())
      if (until === 'before it is recorded') void adding.then(() => compare.resolve())
      expect((await reconciled).changes).toEqual([])
      expect((await adding).code).toBe(0)
      expect((await node.network.reconcile()).changes).toEqual([])
    },
  )

  test('keeps its MTU when its last port leaves', async () => {
    await using node = await podNode()
    await using pod = await scratchNamespace()
    await cni(node.network, 'ADD', { containerId: 'c1', netns: pod.path })
    await cni(node.network, 'DEL', { containerId: 'c1', netns: pod.path })
    expect((await node.network.reconcile()).changes).toEqual([])
    expect((await node.namespace.kernel.links()).find(({ name }) => name === 'cni0')?.mtu).toBe(1450)
  })

  test('and its pods follow a new MTU', async () => {
    const told: (readonly [containerId: string | undefined, mtu: number])[] = []
    const bandwidth: BandwidthHook = {
      add: async ({ containerId, mtu }) => void told.push([containerId, mtu]),
      remove: async () => undefined,
    }
    await using node = await podNode({ hooks: { ...recordHooks().hooks, bandwidth } })
    await using pod = await scratchNamespace()
    const limits = { runtimeConfig: { bandwidth: { ingressRate: 1e6, ingressBurst: 1e6 } } }
    const added = await cni(node.network, 'ADD', { containerId: 'c1', netns: pod.path }, limits)
    for (const mtu of [1400, 8000]) {
      await node.network.configure({ ...nodeSettings, mtu })
      await node.network.reconcile()
      expect(told.at(-1)).toEqual(['c1', mtu])
      const links = [...(await node.namespace.kernel.links()), ...(await node.namespace.kernel.linksIn(pod.path))]
      expect(
        ['cni0', hostVethName('c1', 'eth0'), 'eth0'].map((name) => links.find((link) => link.name === name)?.mtu),
      ).toEqual([mtu, mtu, mtu])
      expect(
        (await cni(node.network, 'CHECK', { containerId: 'c1', netns: pod.path }, { prevResult: added.document })).code,
      ).toBe(0)
    }
  })

  test('of others is refused while they use it, and STATUS says why until it is ours', async () => {
    await using node = await podNode({ settings: { bridge: 'cni1' as typeof nodeSettings.bridge } })
    const status = () => cni(node.network, 'STATUS', { containerId: '' })
    expect((await status()).code).toBe(0)
    await node.namespace.run('ip', ['link', 'add', 'cni0', 'type', 'bridge'])
    await node.namespace.run('ip', ['addr', 'add', '10.9.0.1/24', 'dev', 'cni0'])
    await node.namespace.run('ip', [
      'link',
      'add',
      'theirs',
      'master',
      'cni0',
      'type',
      'veth',
      'peer',
      'name',
      'theirs1',
    ])
    await node.network.configure(nodeSettings)
    await expect(node.network.reconcile()).rejects.toThrow('set takeOver')
    expect(await status()).toMatchObject({ code: 50, document: { msg: 'bridge cni0 is not ready' } })
    expect((await node.namespace.kernel.links()).find(({ name }) => name === 'cni0')).toMatchObject({
      group: 0,
      addresses: [{ address: '10.9.0.1' }],
    })

    await using pod = await scratchNamespace()
    const one = { containerId: 'c1', netns: pod.path }
    expect((await cni(node.network, 'ADD', one)).code).toBe(11)

    // One of their pods has the address that we would give first; the node has met it.
    await node.namespace.run('ip', [
      'neigh',
      'add',
      '10.244.1.2',
      'lladdr',
      '02:00:00:00:00:02',
      'dev',
      'cni0',
      'nud',
      'reachable',
    ])
    await node.network.configure({ ...nodeSettings, takeOver: true })
    expect((await node.network.reconcile()).failures).toEqual([])
    const addresses = async () =>
      (await node.namespace.kernel.links())
        .find(({ name }) => name === 'cni0')
        ?.addresses.filter(({ scope }) => scope === 'global')
        .map(({ address }) => address)
        .toSorted()
    expect([await addresses(), (await status()).code]).toEqual([['10.244.1.1', '10.9.0.1'], 0])
    expect((await cni(node.network, 'ADD', one)).document.ips?.[0]?.address).toBe('10.244.1.3/24')
    await node.namespace.run('ip', ['link', 'del', 'theirs'])
    await node.network.reconcile()
    expect(node.network.ipamStatus()).toMatchObject([{ used: 1, resting: 1 }])
    expect(await addresses()).toEqual(['10.244.1.1'])
  })

  test('without a podCIDR nothing is done, and STATUS and ADD say so', async () => {
    await using node = await podNode()
    await using pod = await scratchNamespace()
    const fresh = node.agent({ log: testLog, stateDir: `${node.stateDir}/fresh` })
    await fresh.start()
    fresh.waitFor('the Node has no podCIDR')
    expect(await fresh.reconcile()).toMatchObject({ changes: [], failures: [], problems: [] })
    expect(await cni(fresh, 'STATUS', { containerId: '' })).toMatchObject({
      code: 50,
      document: { msg: 'the network of this node is not ready for pods' },
    })
    expect(await cni(fresh, 'ADD', { containerId: 'c1', netns: pod.path })).toMatchObject({
      code: 11,
      document: { details: 'the Node has no podCIDR' },
    })
    await expect(fresh.configure({ ...nodeSettings, podCidrs: [parseCidr('10.0.0.0/31')] })).rejects.toThrow(
      'room for a pod',
    )
  })
})

/** The kernel with some of its methods replaced. */
function standIn(kernel: Kernel, methods: Partial<Kernel>): Kernel {
  return new Proxy(kernel, {
    get: (target, name) => {
      const own: unknown = Reflect.get(methods, name)
      if (own !== undefined) return own
      const value: unknown = Reflect.get(target, name)
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
}
