// Rate limits on a real veth: the qdiscs that stand there, and packets that are held back by them.
import { expect, test } from 'vitest'
import { parseInterfaceName } from '../../src/net/interface-name.ts'
import type { Bandwidth } from '../../src/pods/attachment.ts'
import { ifbName, PodBandwidth } from '../../src/pods/bandwidth.ts'
import { attachmentOf } from '../../src/pods/rules/rule-inputs.ts'
import { describeKernel, type ScratchNamespace, scratchNamespace, testLog, wire } from './scratch.ts'

const veth = parseInterfaceName('vethpod')
const ifb = ifbName(veth)
/** What containerd and CRI-O give for a burst that nobody set. */
const [containerdBurst, crioBurst] = [2 ** 32 - 1, (2 ** 32 - 1) * 8 - 1]

function limited(bandwidth: Bandwidth) {
  return attachmentOf(5, [], { hostInterface: veth, bandwidth })
}

interface Qdisc {
  readonly kind: string
  readonly dev: string
  readonly packets: number
  readonly drops: number
  /** Bytes that wait. */
  readonly backlog: number
  readonly options: { readonly rate?: number; readonly burst?: number; readonly lat?: number }
}

async function qdiscs(node: ScratchNamespace): Promise<Qdisc[]> {
  const all = JSON.parse(await node.run('tc', ['-j', '-s', 'qdisc', 'show'])) as Qdisc[]
  return all.filter(({ kind }) => kind === 'tbf' || kind === 'ingress')
}

/** A frame of full size, and how ping asks for it. */
const [fullFrame, fullPing] = [1514, 1472]

/** Pings that get an answer, of three of `size` bytes one after another. */
async function answered(from: ScratchNamespace, to: string, size = fullPing): Promise<number> {
  const output = await from.run('ping', ['-c3', '-i0.05', '-W2', '-q', '-s', String(size), to]).catch(() => '')
  return Number(/(\d+) received/.exec(output)?.[1] ?? 0)
}

/** Bytes of one connection that came in at its other end. */
async function carried(from: ScratchNamespace, to: ScratchNamespace, address: string, bytes: number): Promise<number> {
  const [listen, connect] = address.includes(':')
    ? ['TCP6-LISTEN:99,reuseaddr', `TCP6:[${address}]:99`]
    : ['TCP4-LISTEN:99,reuseaddr', `TCP4:${address}:99`]
  const counting = to.run('sh', ['-c', `timeout 60 socat -u ${listen} - | wc -c`])
  await from.run('sh', ['-c', `head -c ${bytes} /dev/zero | timeout 60 socat -u - ${connect},retry=50,interval=0.1`])
  return Number(await counting)
}

/** 100 packets of 1000 bytes; that nobody takes them does not matter. */
async function send(host: ScratchNamespace, address: string): Promise<void> {
  await host
    .run('socat', ['-b1000', '-u', '-', `UDP4-SENDTO:${address}:9`], { input: 'x'.repeat(100_000) })
    .catch(() => '')
}

async function pair(): Promise<AsyncDisposableStack & { node: ScratchNamespace; pod: ScratchNamespace }> {
  const made = new AsyncDisposableStack()
  const node = made.use(await scratchNamespace())
  const pod = made.use(await scratchNamespace())
  await wire(
    { namespace: node, device: veth, address: '10.244.1.1/24' },
    { namespace: pod, device: 'eth0', address: '10.244.1.5/24' },
  )
  await node.run('ip', ['addr', 'add', 'fd00:1::1/64', 'dev', veth, 'nodad'])
  await pod.run('ip', ['addr', 'add', 'fd00:1::5/64', 'dev', 'eth0', 'nodad'])
  return Object.assign(made, { node, pod })
}

describeKernel('bandwidth', () => {
  test('both directions are limited, a new limit replaces the old one, and adding twice changes nothing', async () => {
    await using net = await pair()
    const bandwidth = new PodBandwidth({ kernel: net.node.kernel, log: testLog })
    const first = limited({
      ingress: { rateBits: 8_000_000, burstBits: containerdBurst },
      egress: { rateBits: 16_000_000, burstBits: crioBurst },
    })
    for (let i = 0; i < 2; i++) {
      await bandwidth.add(first)
      expect(await qdiscs(net.node)).toMatchObject([
        { kind: 'tbf', dev: veth, options: { rate: 1_000_000 } },
        { kind: 'ingress', dev: veth },
        { kind: 'tbf', dev: ifb, options: { rate: 2_000_000 } },
      ])
    }
    await bandwidth.add(limited({ ingress: { rateBits: 80_000, burstBits: 160_000 }, egress: undefined }))
    expect((await qdiscs(net.node))[0]).toMatchObject({
      kind: 'tbf',
      dev: veth,
      options: { rate: 10_000, burst: 20_000 },
    })
  })

  test.each(['ingress', 'egress'] as const)(
    '%s: what goes over the burst is dropped, in that direction alone',
    async (direction) => {
      await using net = await pair()
      const bandwidth = new PodBandwidth({ kernel: net.node.kernel, log: testLog })
      const limit = { rateBits: 8000, burstBits: 80_000 }
      await bandwidth.add(limited({ ingress: undefined, egress: undefined, [direction]: limit }))
      const [from, to] = direction === 'ingress' ? [net.node, '10.244.1.5'] : [net.pod, '10.244.1.1']
      await send(direction === 'ingress' ? net.pod : net.node, direction === 'ingress' ? '10.244.1.1' : '10.244.1.5')
      const dropped = async () => (await qdiscs(net.node)).find(({ kind }) => kind === 'tbf')?.drops
      expect(await dropped()).toBe(0)
      await send(from, to)
      // 100 packets against a bucket of ten: how many exactly is a matter of timing.
      expect(await dropped()).toBeGreaterThan(50)
    },
  )

  const edges: readonly (readonly [what: string, rateBits: number, burstBits: number])[] = [
    ["CRI-O's burst at 200 kbit/s", 200_000, crioBurst],
    ["CRI-O's burst at 1 Mbit/s", 1_000_000, crioBurst],
    ["containerd's burst at 200 kbit/s", 200_000, containerdBurst],
    ['the largest bucket at the smallest rate', 1, 2 ** 35 - 1],
    ['a bucket of one bit at 10 Gbit/s', 10_000_000_000, 1],
    ['a bucket below the MTU', 10_000_000, 8000],
    ['a bucket of one frame', 10_000_000, fullFrame * 8],
    ['2^32 bytes a second', 2 ** 35, 80_000],
    ['a rate whose 25 ms are more than 2^32 bytes', 2 ** 41, containerdBurst],
    ['the largest rate', Number.MAX_SAFE_INTEGER, 1],
    ['the largest of both', Number.MAX_SAFE_INTEGER, 2 ** 35 - 1],
  ]

  test.each(edges)('%s: packets of full size pass in both directions and families', async (_, rateBits, burstBits) => {
    await using net = await pair()
    const bandwidth = new PodBandwidth({ kernel: net.node.kernel, log: testLog })
    await bandwidth.add(limited({ ingress: { rateBits, burstBits }, egress: { rateBits, burstBits } }))
    // Of an answer of full size the request passes one bucket and the answer the other.
    expect(await answered(net.node, '10.244.1.5')).toBe(3)
    expect(await answered(net.pod, 'fd00:1::1', fullPing - 20)).toBe(3)
  })

  test.each(['10.244.1', 'fd00:1:'])(
    'GSO packets pass a bucket smaller than they are, whole or cut: %s',
    async (network) => {
      await using net = await pair()
      const bandwidth = new PodBandwidth({ kernel: net.node.kernel, log: testLog })
      const [node, pod] = network.includes(':') ? [`${network}:1`, `${network}:5`] : [`${network}.1`, `${network}.5`]
      for (const burstBits of [1, 20_000 * 8, crioBurst]) {
        const limit = { rateBits: 400_000_000, burstBits }
        await bandwidth.add(limited({ ingress: limit, egress: limit }))
        expect(await carried(net.node, net.pod, pod, 2_000_000)).toBe(2_000_000)
        expect(await carried(net.pod, net.node, node, 2_000_000)).toBe(2_000_000)
      }
    },
  )

  test('a bucket that would take days to fill again is as large as it was asked for', async () => {
    await using net = await pair()
    const bandwidth = new PodBandwidth({ kernel: net.node.kernel, log: testLog })
    const limit = { rateBits: 8000, burstBits: crioBurst }
    await bandwidth.add(limited({ ingress: limit, egress: limit }))
    expect(await carried(net.node, net.pod, '10.244.1.5', 3_000_000)).toBe(3_000_000)
  })

  test('a bucket holds a frame of the MTU that a pod gets later', async () => {
    await using net = await pair()
    const bandwidth = new PodBandwidth({ kernel: net.node.kernel, log: testLog })
    const limit = { rateBits: 10_000_000, burstBits: 8000 }
    const attachment = limited({ ingress: limit, egress: limit })
    await bandwidth.add(attachment)
    await net.node.run('ip', ['link', 'set', veth, 'mtu', '9000'])
    await net.pod.run('ip', ['link', 'set', 'eth0', 'mtu', '9000'])
    await bandwidth.add({ ...attachment, mtu: 9000 })
    expect(await answered(net.node, '10.244.1.5', 8972)).toBe(3)
  })

  test.each(['ingress', 'egress'] as const)(
    '%s: when a large burst is used up, no more waits than the latency and one packet need',
    async (direction) => {
      await using net = await pair()
      const bandwidth = new PodBandwidth({ kernel: net.node.kernel, log: testLog })
      const limit = { rateBits: 1_000_000, burstBits: 16_000_000 }
      await bandwidth.add(limited({ ingress: undefined, egress: undefined, [direction]: limit }))
      const [from, to] = direction === 'ingress' ? [net.node, '10.244.1.5'] : [net.pod, '10.244.1.1']
      // 8 MB, of which the bucket lets 2 MB pass. Each socket has 200 KB at most on their way.
      const flood = `for i in $(seq 40); do head -c 200000 /dev/zero | timeout 3 socat -b1000 -u - UDP4-SENDTO:${to}:9 & done; wait`
      await from.run('sh', ['-c', flood])
      const tbf = (await qdiscs(net.node)).find(({ kind }) => kind === 'tbf')
      expect(tbf?.drops).toBeGreaterThan(1000)
      expect(tbf?.backlog).toBeLessThanOrEqual(600_000)
    },
  )

  test('removing takes the ifb, also when the veth went first, and is silent when there is none', async () => {
    await using net = await pair()
    const bandwidth = new PodBandwidth({ kernel: net.node.kernel, log: testLog })
    const attachment = limited({ ingress: undefined, egress: { rateBits: 8_000_000, burstBits: 80_000 } })
    await bandwidth.add(attachment)
    expect((await net.node.kernel.links()).find(({ name }) => name === ifb)).toMatchObject({
      type: 'ifb',
      group: 98,
      up: true,
    })
    await net.node.run('ip', ['link', 'del', veth])
    for (let i = 0; i < 2; i++) await bandwidth.remove([attachment])
    expect((await net.node.kernel.links()).map(({ name }) => name)).not.toContain(ifb)
    await expect(bandwidth.add(attachment)).rejects.toMatchObject({ kind: 'missing' })
  })
})
