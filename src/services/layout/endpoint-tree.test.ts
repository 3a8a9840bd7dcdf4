import fc from 'fast-check'
import { expect, test } from 'vitest'
import { shortHash } from '../chain-names.ts'
import { flatEndpoints } from '../flat-layout.ts'
import { comment } from '../../iptables/matches.ts'
import { type Chains, formatRule, optionOf } from '../../iptables/rule.ts'
import type { EndpointLink } from '../rendered.ts'
import { endpointTree } from './endpoint-tree.ts'

const chain = 'KUBE-SVC-NPX46M4PTMTKRN6Y'

function links(count: number, from = 0): EndpointLink[] {
  return Array.from({ length: count }, (_, i) => ({
    target: `KUBE-SEP-${shortHash(`ns/svc:ptcp10.244.0.${i + from}:80`)}`,
    comment: comment(`ns/svc:p -> ${i + from}`),
  }))
}

/** Endpoint -> how often a connection goes there, and how many rules it meets on the way on average. */
function odds(chains: Chains): { shares: Map<string, number>; rules: number } {
  const shares = new Map<string, number>()
  let rules = 0
  const enter = (name: string, arriving: number): void => {
    let left = arriving
    for (const rule of chains.get(name) ?? []) {
      rules += left
      const part = left * Number(optionOf(rule, '--probability') ?? 1)
      const target = rule.target?.name ?? ''
      if (chains.has(target)) enter(target, part)
      else shares.set(target, (shares.get(target) ?? 0) + part)
      left -= part
    }
  }
  enter(chain, 1)
  return { shares, rules }
}

test('every endpoint has the same share, whatever their number', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 3000 }), fc.integer({ min: 0, max: 1_000_000 }), (count, from) => {
      const all = links(count, from)
      const { shares } = odds(endpointTree(chain, all))
      return shares.size === count && all.every(({ target }) => Math.abs((shares.get(target) ?? 0) * count - 1) < 1e-5)
    }),
    { numRuns: 60 },
  )
})

test("up to 64 endpoints it is kube-proxy's chain, and 1,000 cost tens of rules", () => {
  expect(endpointTree(chain, links(64))).toEqual(flatEndpoints(chain, links(64)))
  expect(odds(flatEndpoints(chain, links(1000))).rules).toBeGreaterThan(450)
  expect(odds(endpointTree(chain, links(1000))).rules).toBeLessThan(40)
  expect(odds(endpointTree(chain, links(10_000))).rules).toBeLessThan(60)
})

test('names fit into 28 characters', () => {
  expect([...endpointTree(chain, links(5000)).keys()].filter((name) => name.length > 28)).toEqual([])
})

const textOf = (chains: Chains, name: string): string | undefined => chains.get(name)?.map(formatRule).join('\n')

test('an endpoint that goes changes its group and the weights above, and nothing else', () => {
  fc.assert(
    fc.property(fc.constantFrom(200, 700, 3000), fc.nat(), (count, which) => {
      const [before, after] = [
        endpointTree(chain, links(count)),
        endpointTree(chain, links(count).toSpliced(which % count, 1)),
      ]
      return [...before.keys()].filter((name) => textOf(before, name) !== textOf(after, name)).length <= 3
    }),
  )
})
