import { readdir } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { BatchSession } from '../../src/kernel/batch-session.ts'
import type { Change } from '../../src/kernel/change.ts'
import { addBridge, addVeth, deleteLink, replaceAddress, setMaster, setUp } from '../../src/kernel/link-changes.ts'
import { createNamespace, deleteNamespace, namespacePath } from '../../src/kernel/netns.ts'
import {
  addPodDefaultRoute,
  deleteNeighbour,
  releaseNeighbour,
  replaceNeighbour,
  replaceRoute,
} from '../../src/kernel/route-changes.ts'
import { runProgram } from '../../src/kernel/run.ts'
import { parseAddress } from '../../src/net/address.ts'
import { parseCidr } from '../../src/net/cidr.ts'
import { parseInterfaceName } from '../../src/net/interface-name.ts'
import { macOf, parseMac } from '../../src/net/mac.ts'
import { describeKernel, scratchNamespace, testLog, wire } from './scratch.ts'

const bridge = parseInterfaceName('br0')
const nowhere = parseInterfaceName('nowhere')
const mac = parseMac('02:00:00:00:00:01')
const gateway = parseAddress('10.1.0.1')

/** A line that no builder makes, and that ends the tool. */
const nonsense: Change = { tool: 'ip', line: 'addr replace 10.1.0.1/99 dev br0', kind: 'address', object: 'nonsense' }

const addBr0 = addBridge(bridge, { mac, mtu: 1400 })

describeKernel('batch sessions', () => {
  test('a refused line is reported with its meaning, and those around it are applied', async () => {
    await using ns = await scratchNamespace()
    const changes = [addBr0, setUp(nowhere), addBr0, replaceAddress(bridge, gateway, 24)]
    const failures = await ns.kernel.apply(changes)
    expect(failures.map(({ change, error }) => [changes.indexOf(change), error.kind])).toEqual([
      [1, 'missing'],
      [0, 'exists'],
    ])
    expect(failures[0]?.error.message).toBe(
      `nsenter --net=${ns.path} ip link set nowhere up: Cannot find device "nowhere"`,
    )
    const [, made] = await ns.kernel.links()
    expect(made).toMatchObject({
      name: 'br0',
      mac,
      mtu: 1400,
      group: 98,
      type: 'bridge',
      addresses: [{ address: gateway, prefix: 24, scope: 'global' }],
    })
  })

  test('a line that ends the tool fails alone: those before are kept, those after are carried out, each once', async () => {
    await using ns = await scratchNamespace()
    const first = addBr0
    const second = addBridge(parseInterfaceName('br1'), { mac: parseMac('02:00:00:00:00:02'), mtu: 1400 })
    const gone = deleteNeighbour(bridge, parseAddress('10.1.0.77'))
    const failures = await ns.kernel.apply([first, nonsense, gone, second, nonsense])
    // `neigh del` of nothing ends iproute2 6.1 as well, and yet it means what it says.
    expect(failures.map(({ change, error }) => [change.object, error.kind])).toEqual([
      ['nonsense', 'usage'],
      ['neighbour 10.1.0.77 on br0', 'missing'],
      ['nonsense', 'usage'],
    ])
    expect((await ns.kernel.links()).map(({ name }) => name)).toEqual(['lo', 'br0', 'br1'])
  })

  test('callers at the same time each get the failures of their own lines, whatever befalls the tool', async () => {
    await using ns = await scratchNamespace()
    const answers = await Promise.all(
      Array.from({ length: 60 }, async (_, i) => {
        const name = parseInterfaceName(`br${i}`)
        const add = addBridge(name, { mac: macOf('gateway', parseAddress(`10.1.0.${i}`)), mtu: 1400 })
        return ns.kernel.apply(i % 7 === 3 ? [add, nonsense, add] : [add, setUp(name)])
      }),
    )
    for (const [i, failures] of answers.entries())
      expect(failures.map(({ error }) => error.kind)).toEqual(i % 7 === 3 ? ['usage', 'exists'] : [])
    expect(await ns.kernel.links()).toHaveLength(61)
  })

  test('tools may be mixed in one call, and keep the order', async () => {
    await using ns = await scratchNamespace()
    await using other = await scratchNamespace()
    await wire({ namespace: ns, device: 'v0' }, { namespace: other, device: 'v0' })
    const device = parseInterfaceName('v0')
    const fdb: Change = { tool: 'bridge', line: `fdb replace ${mac} dev v0 self permanent`, kind: 'fdb', object: 'fdb' }
    const changes = [fdb, replaceNeighbour(device, parseAddress('10.1.0.9'), mac), deleteLink(device), fdb]
    // Only the last: it comes after the deletion.
    expect((await ns.kernel.apply(changes)).map(({ error }) => error.kind)).toEqual(['missing'])
  })

  test('a device made again by someone else is used at once, though sessions remember the index of the old one', async () => {
    await using ns = await scratchNamespace()
    const device = parseInterfaceName('br0')
    const port = parseInterfaceName('v0')
    const far = parseAddress('10.9.0.1')
    const changes = [
      replaceRoute({ destination: parseCidr('10.9.0.0/24'), device }),
      setMaster(port, device),
      replaceNeighbour(device, far, mac),
    ]
    for (let round = 0; round < 2; round++) {
      await ns.run('sh', [
        '-c',
        'ip link add br0 type bridge; ip link add v0 type veth peer name v1; ip link set br0 up',
      ])
      expect(await ns.kernel.apply(changes)).toEqual([])
      expect(await ns.kernel.routes(4, { device, ours: true })).toHaveLength(1)
      expect(await ns.kernel.neighbours(4, device)).toEqual([{ address: far, mac, permanent: true }])
      expect((await ns.kernel.links()).find(({ name }) => name === 'v0')?.master).toBe('br0')
      await ns.run('sh', ['-c', 'ip link del br0; ip link del v0'])
    }
  })

  test('a session killed from outside fails the line it was at, and the next call has a new one', async () => {
    await using ns = await scratchNamespace()
    expect(await ns.kernel.apply([addBr0])).toEqual([])
    await runProgram('nsenter', [`--net=${ns.path}`, 'sh', '-c', sessionsInside('kill -9 $pid')])
    const failures = await ns.kernel.apply([addBr0])
    // Either the line came before the death, or after it.
    expect(['killed', 'exists']).toContain(failures[0]?.error.kind)
    expect(await ns.kernel.apply([deleteLink(bridge)])).toEqual([])
  })

  test('lines that take too long fail as a timeout, and another caller goes on', async () => {
    await using ns = await scratchNamespace()
    await using session = new BatchSession({
      tool: 'ip',
      enter: ['nsenter', `--net=${ns.path}`],
      log: testLog,
      observe: undefined,
      deadline: 300,
    })
    const wait: Change = { tool: 'ip', line: 'monitor link', kind: 'link', object: 'news that never come' }
    const [stuck, other] = await Promise.all([session.apply([wait, addBr0]), session.apply([addBr0])])
    expect(stuck.map(({ error }) => error.kind)).toEqual(['timeout', 'timeout'])
    expect(other).toEqual([])
  })

  test('a namespace that is gone is an error of the call, and nobody waits', async () => {
    await using ns = await scratchNamespace()
    const path = namespacePath('ft-nowhere')
    await expect(ns.kernel.applyIn(path, [addBr0])).rejects.toMatchObject({ kind: 'missing' })
    await expect(ns.kernel.linksIn(path)).rejects.toMatchObject({ kind: 'missing' })
    await using session = new BatchSession({
      tool: 'ip',
      enter: ['nsenter', `--net=${path}`],
      log: testLog,
      observe: undefined,
    })
    const answers = await Promise.allSettled([session.apply([addBr0]), session.apply([addBr0])])
    expect(answers).toMatchObject([{ reason: { kind: 'missing' } }, { reason: { kind: 'missing' } }])
  })

  test('closing carries out what was given and leaves no process behind', async () => {
    await using ns = await scratchNamespace()
    const session = new BatchSession({
      tool: 'ip',
      enter: ['nsenter', `--net=${ns.path}`],
      log: testLog,
      observe: undefined,
    })
    const pending = session.apply([nonsense, addBr0])
    await session[Symbol.asyncDispose]()
    expect(await pending).toMatchObject([{ change: nonsense }])
    expect((await ns.kernel.links()).map(({ name }) => name)).toEqual(['lo', 'br0'])
    await expect(session.apply([addBr0])).rejects.toMatchObject({ kind: 'killed' })
    expect(await ns.run('sh', ['-c', sessionsInside('echo $pid')])).toBe('')
  })

  test('observers count commands and lines', async () => {
    await using ns = await scratchNamespace()
    const seen: unknown[] = []
    const observe = {
      command: (tool: string, _: number, ok: boolean) => seen.push([tool, ok]),
      lines: (tool: string, count: number) => seen.push([tool, count]),
    }
    await using session = new BatchSession({
      tool: 'ip',
      enter: ['nsenter', `--net=${ns.path}`],
      log: testLog,
      observe,
    })
    await session.apply([addBr0, setUp(nowhere)])
    expect(seen).toEqual([
      ['ip', false],
      ['ip', 2],
    ])
  })
})

describeKernel('other namespaces', () => {
  test('a pod is set up in one call inside it, by name and by /proc/PID/ns/net', async () => {
    await using host = await scratchNamespace()
    await using pod = await scratchNamespace()
    const eth0 = parseInterfaceName('eth0')
    const address = parseAddress('10.1.0.5')
    const podMac = macOf('pod', address)
    expect(
      await host.kernel.apply([
        addBr0,
        addVeth(parseInterfaceName('veth0'), { mtu: 1400, master: bridge, pod: eth0, podMac, netns: pod.path }),
      ]),
    ).toEqual([])
    expect(await host.kernel.applyIn(pod.path, [replaceAddress(eth0, address, 24), setUp(eth0)])).toEqual([])
    expect(await host.kernel.linksIn(pod.path)).toContainEqual(
      expect.objectContaining({
        name: 'eth0',
        mac: podMac,
        mtu: 1400,
        up: true,
        addresses: expect.arrayContaining([{ address, prefix: 24, scope: 'global' }]),
      }),
    )
    const [gateway, gateway6] = [parseAddress('10.1.0.1'), parseAddress('fd00:1::1')]
    expect(
      await host.kernel.applyIn(pod.path, [
        replaceAddress(eth0, parseAddress('fd00:1::5'), 64),
        addPodDefaultRoute(4, gateway, eth0),
        addPodDefaultRoute(6, gateway6, eth0),
        replaceNeighbour(eth0, gateway, mac),
        replaceNeighbour(eth0, gateway6, mac),
        releaseNeighbour(eth0, parseAddress('10.1.0.9'), mac),
      ]),
    ).toEqual([])
    const inside = await host.kernel.stateIn(pod.path, [4, 6])
    expect(inside.links).toEqual(await host.kernel.linksIn(pod.path))
    expect(inside.routes).toEqual(
      expect.arrayContaining(
        [gateway, gateway6].map((via) => expect.objectContaining({ gateway: via, device: 'eth0' })),
      ),
    )
    expect(inside.fixedNeighbours).toEqual(
      expect.arrayContaining([gateway, gateway6].map((each) => ({ address: each, mac, device: 'eth0' }))),
    )
    expect(inside.fixedNeighbours).not.toContainEqual(expect.objectContaining({ address: '10.1.0.9' }))
    expect((await host.kernel.stateIn(pod.path, [6])).routes.every(({ family }) => family === 6)).toBe(true)

    const ours = `/proc/${process.pid}/ns/net`
    expect((await host.kernel.linksIn(ours)).some(({ name }) => name === 'br0')).toBe(false)
  })

  test('many pods at once, one of them with a line that ends the tool', async () => {
    await using host = await scratchNamespace()
    await using pod = await scratchNamespace()
    const answers = await Promise.all(
      Array.from({ length: 20 }, async (_, i) => {
        const add = addBridge(parseInterfaceName(`br${i}`), { mac, mtu: 1400 })
        return host.kernel.applyIn(pod.path, i === 7 ? [nonsense, add] : [add])
      }),
    )
    expect(answers.map((failures) => failures.length)).toEqual(Array.from({ length: 20 }, (_, i) => (i === 7 ? 1 : 0)))
    expect(await host.kernel.linksIn(pod.path)).toHaveLength(21)
  })

  test('a path that a shell could read otherwise is refused', async () => {
    await using host = await scratchNamespace()
    await expect(host.kernel.applyIn('/run/netns/x;reboot', [addBr0])).rejects.toThrow(TypeError)
    await expect(host.kernel.linksIn('/run/netns/$(id)')).rejects.toThrow(TypeError)
  })

  test('making a namespace twice says so; removing one that is gone does not', async () => {
    await using ns = await scratchNamespace()
    await expect(createNamespace(ns.name)).rejects.toMatchObject({ kind: 'exists' })
    await deleteNamespace('ft-nowhere')
    expect(await readdir('/run/netns')).not.toContain('ft-nowhere')
  })
})

/** A shell command that runs another for every batch session in its own network namespace. */
function sessionsInside(command: string): string {
  return `me=$(readlink /proc/self/ns/net); for dir in /proc/[0-9]*; do pid=\${dir#/proc/}; if [ "$(readlink $dir/ns/net)" = "$me" ] && grep -qzx -- -batch $dir/cmdline; then ${command}; fi; done`
}
