import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Protocol } from '../../cluster/service.ts'
import { walkRules } from '../../iptables/interpreter.ts'
import { jump, toLocal } from '../../iptables/matches.ts'
import { type Chains, formatRule, rule } from '../../iptables/rule.ts'
import { type Address, addressFromBigInt, type Family, parseAddress } from '../../net/address.ts'
import { flatFrontends } from '../flat-layout.ts'
import { defaultOptions } from '../options.ts'
import type { Frontend } from '../rendered.ts'
import type { ServicePort } from '../service-port.ts'
import { dispatchTree, dividedChains } from './dispatch-tree.ts'

const protocols: readonly Protocol[] = ['tcp', 'udp', 'sctp']
const owner = { id: 'ns/svc' } as ServicePort

function frontend(kind: Frontend['kind'], address: bigint, family: Family, protocol: Protocol, port: number): Frontend {
  const to = kind === 'node-port' ? undefined : addressFromBigInt(address, family)
  return { kind, address: to, protocol, port, owner, target: `TO-${kind}-${to ?? ''}-${protocol}-${port}` }
}

interface Packet {
  readonly destination: Address
  readonly protocol: Protocol
  readonly port: number
  /** The destination is an address of the node. */
  readonly local: boolean
}

interface Walked {
  /** The frontends' chains that the packet reaches; each of them sends it back. */
  readonly reached: readonly string[]
  /** The number of rules that it meets. */
  readonly rules: number
}

/** Walks packets through a layout of these frontends. */
function walker(chains: Chains, all: readonly Frontend[]): (packet: Packet) => Walked {
  const targets = new Map(all.map(({ target }) => [target, []]))
  const given: Chains = new Map([...chains, ...targets])
  return ({ destination, protocol, port, local }) => {
    const { entered, compared, missing } = walkRules(given, 'KUBE-SERVICES', {
      source: parseAddress('203.0.113.9'),
      destination,
      protocol,
      port,
      inDevice: 'eth0',
      isOwn: (address) => local && address === destination,
      mark: 0,
      translated: false,
    })
    expect(missing.size).toBe(0)
    return { reached: entered.filter((chain) => targets.has(chain)), rules: compared }
  }
}

/**
 * Addresses in few blocks, so that they share prefixes, and sometimes one address with many ports. No two claim the
 * same.
 */
const frontends = (family: Family, size: { min: number; max: number }) =>
  fc.uniqueArray(
    fc
      .record({
        kind: fc.constantFrom<Frontend['kind']>(
          'cluster-ip',
          'cluster-ip',
          'external-ip',
          'load-balancer',
          'node-port',
        ),
        block: fc.constantFrom(0x0a60_0000n, 0x0a60_1000n, 0xc0a8_0100n),
        host: fc.oneof(fc.bigInt(0n, 0xfffn), fc.constant(7n)),
        protocol: fc.constantFrom(...protocols),
        port: fc.oneof(fc.integer({ min: 1, max: 65_535 }), fc.constantFrom(80, 443, 53)),
      })
      .map(({ kind, block, host, protocol, port }) =>
        frontend(kind, (family === 4 ? 0n : 0xfd00n << 112n) + block + host, family, protocol, port),
      ),
    {
      minLength: size.min,
      maxLength: size.max,
      selector: ({ address, protocol, port }) => `${address ?? ''} ${protocol} ${port}`,
    },
  )

function packetsAt(all: readonly Frontend[], family: Family): Packet[] {
  const near = all.slice(0, 100).flatMap(({ address, protocol, port }) => {
    const destination =
      address ?? addressFromBigInt(family === 4 ? 0x0a60_0007n : (0xfd00n << 112n) + 0x0a60_0007n, family)
    return [
      [protocol, port],
      [protocol, port ^ 1],
      ['udp', port],
    ].map(([p, n]) => ({
      destination,
      protocol: p as Protocol,
      port: n as number,
      local: port % 2 === 0 || address === undefined,
    }))
  })
  const elsewhere = addressFromBigInt(family === 4 ? 0x0808_0808n : 1n << 100n, family)
  return [
    ...near,
    { destination: elsewhere, protocol: 'tcp', port: 80, local: false },
    { destination: elsewhere, protocol: 'tcp', port: 80, local: true },
  ]
}

function withTail(chains: Chains): Chains {
  return new Map([
    ...chains,
    ['KUBE-SERVICES', [...(chains.get('KUBE-SERVICES') ?? []), rule(toLocal(), jump('KUBE-NODEPORTS'))]],
  ])
}

const lay = (all: readonly Frontend[], before: Chains = new Map(), treeFrom = defaultOptions.treeFrom) =>
  dispatchTree(dividedChains(before))(all, { ...defaultOptions, treeFrom })

test.each([
  [4, 64, { min: 60, max: 400 }],
  [6, 64, { min: 60, max: 400 }],
  [4, 0, { min: 1, max: 64 }],
  [6, 0, { min: 1, max: 64 }],
] as const)(
  'every packet reaches what it would reach in the flat layout, and nothing else: IPv%d, a tree above %d frontends',
  (family, treeFrom, size) => {
    fc.assert(
      fc.property(frontends(family, size), (all) => {
        const [flat, tree] = [flatFrontends(all), lay(all, undefined, treeFrom)].map((chains) =>
          walker(withTail(chains), all),
        )
        return packetsAt(all, family).every((packet) => flat?.(packet).reached.join() === tree?.(packet).reached.join())
      }),
      { numRuns: 25 },
    )
  },
)

test.each([4, 6] as const)('names fit, every step leads to a chain, and no chain is long: IPv%d', (family) => {
  fc.assert(
    fc.property(frontends(family, { min: 65, max: 400 }), (all) => {
      const chains = lay(all)
      const inner = [...chains.values()]
        .flat()
        .map(({ target }) => target?.name ?? 'none')
        .filter((name) => !name.startsWith('TO-'))
      return (
        [...chains.keys()].every((name) => name.length <= 28 && /^KUBE-(SERVICES|NODEPORTS|SVC-)/.test(name)) &&
        inner.every((name) => chains.has(name)) &&
        new Set(inner).size === inner.length &&
        [...chains].every(([name, rules]) => rules.length <= (name.startsWith('KUBE-SVC-') ? 16 : 64))
      )
    }),
    { numRuns: 40 },
  )
})

const textOf = (chains: Chains, name: string): string | undefined => chains.get(name)?.map(formatRule).join('\n')

test('the order in which frontends are known makes no difference', () => {
  fc.assert(
    fc.property(
      frontends(4, { min: 65, max: 200 }).chain((all) =>
        fc.tuple(fc.constant(all), fc.shuffledSubarray(all, { minLength: all.length })),
      ),
      ([all, shuffled]) => {
        const sorted = (chains: Chains) =>
          [...chains].filter(([name]) => name.startsWith('KUBE-SVC-')).toSorted(([a], [b]) => (a < b ? -1 : 1))
        expect(sorted(lay(shuffled))).toEqual(sorted(lay(all)))
      },
    ),
    { numRuns: 20 },
  )
})

test('one frontend more or less touches a handful of chains, and a leaf at the limit does not go back and forth', () => {
  fc.assert(
    fc.property(frontends(4, { min: 120, max: 300 }), fc.nat(), (all, which) => {
      const fewer = all.toSpliced(which % all.length, 1)
      const [full, less] = [lay(all), lay(fewer, lay(all))]
      const again = lay(all, less)
      const different = (a: Chains, b: Chains) =>
        [...new Set([...a.keys(), ...b.keys()])].filter((name) => textOf(a, name) !== textOf(b, name)).length
      // A leaf that comes together takes its branches with it; a leaf and the step to it otherwise.
      return different(full, less) <= 10 && different(less, again) <= 4
    }),
    { numRuns: 60 },
  )
})

test('10,000 Services are found within 64 rules, and what is no Service is let go after two', () => {
  // The addresses are as scattered as allocated ones: 2654435761 is odd, so none comes twice.
  const all = Array.from({ length: 10_000 }, (_, n) =>
    frontend('cluster-ip', 0x0a60_0000n + BigInt(Math.imul(n, 2_654_435_761) >>> 12), 4, 'tcp', 80),
  )
  const walk = walker(withTail(lay(all)), all)
  const costs = all.map(({ address }) => walk({ destination: address!, protocol: 'tcp', port: 80, local: false }).rules)
  expect(Math.max(...costs)).toBeLessThanOrEqual(66)
  expect(
    walk({
      destination: addressFromBigInt(0x0af4_0105n, 4),
      protocol: 'tcp',
      port: 80,
      local: false,
    }).rules,
  ).toBe(2)
})

test('up to 64 frontends it is the flat layout, and a tree stays one until 48', () => {
  const all = Array.from({ length: 70 }, (_, n) => frontend('cluster-ip', 0x0a60_0000n + BigInt(n), 4, 'tcp', 80))
  expect(lay(all.slice(0, 64))).toEqual(flatFrontends(all.slice(0, 64)))
  const tree = lay(all)
  expect(tree.size).toBeGreaterThan(2)
  expect(lay(all.slice(0, 49), tree).size).toBeGreaterThan(2)
  expect(lay(all.slice(0, 48), tree)).toEqual(flatFrontends(all.slice(0, 48)))
  expect([...lay(all.slice(0, 1), undefined, 0).keys()]).toContain('KUBE-SVC-CIP-0A600000T0050')
})
