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
  readonly options: { readonly rate?: number; readonly burst?: number; readonly lat?: number }
}

async function qdiscs(node: ScratchNamespace): Promise<Qdisc[]> {
  const all = JSON.parse(await node.run('tc', ['-j', '-s', 'qdisc', 'show'])) as Qdisc[]
  return all.filter(({ kind }) => kind === 'tbf' || kind === 'ingress')
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
