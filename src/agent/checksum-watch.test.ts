import { expect, test } from 'vitest'
import { FakeClock } from '../../test/support/fake-clock.ts'
import type { ClusterNode } from '../cluster/node.ts'
import { parseAddress } from '../net/address.ts'
import { parseCidr } from '../net/cidr.ts'
import { ChecksumWatch } from './checksum-watch.ts'
import { loadConfig } from './config.ts'

const nodes = ['a', 'b'].map(
  (name, i) =>
    ({
      name,
      podCidrs: [parseCidr(`10.244.${i + 1}.0/24`)],
      internalAddresses: [parseAddress(`192.168.0.2${i + 1}`)],
    }) as unknown as ClusterNode,
)

/** A card that does this to checksums, and what the agent does about it until so much time has passed. */
async function watched(
  card: { miscalculates: boolean; helps?: boolean; cutOff?: boolean; lacksEthtool?: boolean },
  forMs: number,
  mode = 'auto',
) {
  const clock = new FakeClock()
  const stop = new AbortController()
  const config = loadConfig({ flags: { checksumOffload: mode, nodeName: 'a' }, environment: {} })
  const [said, wishes]: [string[], string[]] = [[], []]
  let [on, asked, errors] = [true, 0, 0]
  const lost = (): boolean => card.cutOff === true || (card.miscalculates && (on || card.helps === false))
  const watch = new ChecksumWatch({
    live: { current: config },
    nodes: () => nodes,
    clock,
    ready: () => {
      if (clock.now() >= forMs) stop.abort()
      return true
    },
    apply: () => {
      wishes.push(watch.wanted)
      if (card.lacksEthtool !== true) on = watch.wanted !== 'off'
    },
    kernel: { txChecksum: async () => on },
    log: { debug: () => undefined, warn: (_: unknown, sentence?: string) => said.push(sentence ?? '') } as never,
    ask: {
      reach: async () => {
        asked++
        if (lost() && card.miscalculates) errors += 3
        return !lost()
      },
      counters: async () => ({ received: 0, checksumErrors: errors }),
    },
  })
  const running = watch.run(stop.signal)
  while (clock.now() < forMs) await new Promise(setImmediate)
  stop.abort()
  await running
  return { said, wishes, on, asked, wanted: watch.wanted }
}

const minutes = 60_000

test('a card that miscalculates is found, its device computes checksums, and no more is asked', async () => {
  const { said, wanted, on, asked } = await watched({ miscalculates: true }, 10 * minutes)
  expect([wanted, on, asked]).toEqual(['off', false, 3])
  expect(said).toEqual([
    expect.stringMatching(
      /^The network card miscalculates checksums: what goes to b through the tunnel arrives there with wrong checksums\. fairlead\.1 computes them from now on, and b is reached/,
    ),
  ])
})

test('what does not help is undone, and tried once an hour', async () => {
  const { said, wishes, wanted, on } = await watched({ miscalculates: true, helps: false }, 90 * minutes)
  expect([wanted, on, wishes]).toEqual(['leave', true, ['off', 'keep', 'off', 'keep']])
  expect(said).toEqual(
    Array.from({ length: 2 }, () =>
      expect.stringMatching(/did not help and is undone; run fairlead doctor here and on b$/),
    ),
  )
})

test('without ethtool it is the overlay that says so', async () => {
  const { said, wanted } = await watched({ miscalculates: true, lacksEthtool: true }, 10 * minutes)
  expect([wanted, said]).toEqual(['leave', []])
})

test.each([
  ['a good card', { miscalculates: false }],
  ['a peer that is cut off', { miscalculates: false, cutOff: true }],
])('with %s nothing is changed, and one question goes out each half minute', async (_, card) => {
  const { wishes, asked } = await watched(card, 10 * minutes)
  expect(wishes).toEqual([])
  expect(asked).toBeGreaterThanOrEqual(18)
  expect(asked).toBeLessThanOrEqual(44)
})

test('without auto nobody is asked', async () => {
  expect(await watched({ miscalculates: true }, 10 * minutes, 'off')).toMatchObject({ asked: 0, wanted: 'off' })
  expect(await watched({ miscalculates: true }, 10 * minutes, 'keep')).toMatchObject({ asked: 0, wanted: 'keep' })
})
