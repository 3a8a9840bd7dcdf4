import pino from 'pino'
import { expect, test } from 'vitest'
import type { Change } from '../kernel/change.ts'
import type { Kernel } from '../kernel/kernel.ts'
import { parseInterfaceName } from '../net/interface-name.ts'
import type { RateLimit } from './attachment.ts'
import { ifbName, PodBandwidth } from './bandwidth.ts'
import { attachmentOf } from './rules/rule-inputs.ts'

const veth = parseInterfaceName('veth0123456789a')

function podBandwidth(): { bandwidth: PodBandwidth; lines: string[] } {
  const lines: string[] = []
  const kernel: Pick<Kernel, 'apply'> = {
    apply: async (changes: readonly Change[]) => {
      lines.push(...changes.map(({ tool, line }) => `${tool} ${line}`))
      return []
    },
  }
  return { bandwidth: new PodBandwidth({ kernel: kernel as Kernel, log: pino({ level: 'silent' }) }), lines }
}

test('egress: the bucket is there before packets are led to it', async () => {
  const { bandwidth, lines } = podBandwidth()
  await bandwidth.add(
    attachmentOf(5, [], {
      hostInterface: veth,
      bandwidth: { ingress: undefined, egress: { rateBits: 1000, burstBits: 8000 } },
    }),
  )
  expect(lines.map((line) => line.replace(ifbName(veth), 'IFB').split(' ').slice(0, 5).join(' '))).toEqual([
    'ip link add IFB group',
    'tc qdisc replace dev IFB',
    `tc qdisc add dev ${veth}`,
    `tc filter replace dev ${veth}`,
  ])
})

test.each<[RateLimit, string]>([
  [{ rateBits: 0, burstBits: 8000 }, 'Expected ingressRate to be a positive whole number of bit/s, got `0`'],
  [{ rateBits: 1.5, burstBits: 8000 }, 'Expected ingressRate to be a positive whole number of bit/s, got `1.5`'],
  [{ rateBits: 1000, burstBits: 0 }, 'Expected ingressBurst to be a positive whole number of bits, got `0`'],
  [
    { rateBits: 1000, burstBits: 2 ** 35 },
    'Expected ingressBurst to be below 4 GiB (34359738368 bits), got `34359738368`',
  ],
])('%j is refused in one sentence, and nothing is done', async (ingress, sentence) => {
  const { bandwidth, lines } = podBandwidth()
  await expect(bandwidth.add(attachmentOf(5, [], { bandwidth: { ingress, egress: undefined } }))).rejects.toThrow(
    sentence,
  )
  expect(lines).toEqual([])
})

test('the name of an ifb is a name that the kernel takes, one a veth', () => {
  expect(ifbName(veth)).toMatch(/^ifb[0-9a-f]{12}$/)
  expect(ifbName(veth)).not.toBe(ifbName(parseInterfaceName('veth0123456789b')))
})
