import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Address, parseAddress } from '../net/address.ts'
import { parseCidr } from '../net/cidr.ts'
import { gatewayOf, Ipam, PoolExhaustedError, restMs } from './ipam.ts'

const small = parseCidr('10.244.1.0/29')
const usable = ['10.244.1.2', '10.244.1.3', '10.244.1.4', '10.244.1.5', '10.244.1.6'].map(parseAddress)

/** A clock that stands still until it is moved. */
function stoppedClock(): { now: () => number; pass: (ms: number) => void } {
  let time = 1_000_000
  return { now: () => time, pass: (ms) => (time += ms) }
}

test('addresses go round the pool, past gateway, network and broadcast', () => {
  const ipam = new Ipam([small], stoppedClock().now)
  expect(usable.map(() => ipam.allocate())).toEqual(usable.map((address) => [address]))
  expect(gatewayOf(small)).toBe('10.244.1.1')
})

test('an address just freed is not the next one given', () => {
  const clock = stoppedClock()
  const ipam = new Ipam([small], clock.now)
  ipam.release(ipam.allocate())
  expect(ipam.allocate()).toEqual([usable[1]])
  clock.pass(restMs)
  expect([1, 2, 3, 4].map(() => ipam.allocate()[0])).toEqual([usable[2], usable[3], usable[4], usable[0]])
})

test('when nothing else is free, the one that rested longest is given', () => {
  const clock = stoppedClock()
  const ipam = new Ipam([small], clock.now)
  for (const _ of usable) ipam.allocate()
  for (const index of [3, 0]) {
    ipam.release([usable[index]!])
    clock.pass(10)
  }
  expect(ipam.allocate()).toEqual([usable[3]])
})

test('an exhausted pool says how large it is, and takes nothing of the other family', () => {
  const ipam = new Ipam([parseCidr('fd00:1::/64'), parseCidr('10.244.1.0/30')], stoppedClock().now)
  expect(ipam.allocate()).toEqual(['fd00:1::2', '10.244.1.2'])
  expect(() => ipam.allocate()).toThrow(PoolExhaustedError)
  expect(() => ipam.allocate()).toThrow('No address is free in 10.244.1.0/30: 1 of 1 are used and 0 resting')
  expect(ipam.status().map((pool) => [pool.used, pool.resting])).toEqual([
    [1, 0],
    [1, 0],
  ])
})

test.each(['10.0.0.0/31', '10.0.0.1/32', 'fd00::/127', 'fd00::1/128'])('%s has no room for a pod', (text) => {
  expect(() => new Ipam([parseCidr(text)], Date.now)).toThrow(`with room for a pod beside its gateway, got \`${text}\``)
})

test('rest outlives a restart, use comes before rest, and a clock set back does not prolong it', () => {
  const clock = stoppedClock()
  const before = new Ipam([small], clock.now)
  for (const _ of usable) before.allocate()
  before.release([usable[0]!, usable[1]!])
  const after = new Ipam([small], clock.now)
  after.reserve([usable[1]!, parseAddress('10.99.0.5'), gatewayOf(small)])
  after.restore([...before.resting(), { address: usable[2]!, since: clock.now() + 3_600_000 }])
  expect(after.resting().map((entry) => entry.address)).toEqual([usable[0], usable[2]])
  expect(after.status()[0]).toMatchObject({ size: 5, used: 1, resting: 2 })
  clock.pass(restMs)
  expect(after.resting()).toEqual([])
})

test('a /64 and a nearly full /16 are as easy as a /24', () => {
  const wide = new Ipam([parseCidr('fd00:1::/64')], stoppedClock().now)
  expect(wide.allocate()).toEqual(['fd00:1::2'])
  const many = new Ipam([parseCidr('10.0.0.0/16')], stoppedClock().now)
  const given = new Set(Array.from({ length: 65_533 }, () => many.allocate()[0]))
  expect(given.size).toBe(65_533)
  expect(() => many.allocate()).toThrow(PoolExhaustedError)
})

const step = fc.oneof(
  fc.constant({ act: 'allocate', by: 0 }),
  fc.record({ act: fc.constant('release'), by: fc.nat() }),
  fc.record({ act: fc.constant('pass'), by: fc.integer({ min: 1, max: restMs }) }),
  fc.constant({ act: 'restart', by: 0 }),
)

test('law: no address has two holders, what is released comes back, and none is given early while a rested one is free', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      const clock = stoppedClock()
      let ipam = new Ipam([small], clock.now)
      const held = new Set<Address>()
      const freedAt = new Map<Address, number>()
      const restedFor = (address: Address): number => clock.now() - (freedAt.get(address) ?? -Infinity)
      const mayBeGiven = (address: Address): boolean => {
        const free = usable.filter((candidate) => !held.has(candidate))
        return (
          free.includes(address) &&
          (restedFor(address) >= restMs || restedFor(address) === Math.max(...free.map(restedFor)))
        )
      }
      for (const { act, by } of steps) {
        if (act === 'pass') clock.pass(by)
        if (act === 'restart') {
          const resting = ipam.resting()
          ipam = new Ipam([small], clock.now)
          ipam.reserve([...held])
          ipam.restore(resting)
        }
        const leaver = [...held][by % Math.max(held.size, 1)]
        if (act === 'release' && leaver !== undefined) {
          ipam.release([leaver, leaver])
          held.delete(leaver)
          freedAt.set(leaver, clock.now())
        }
        if (act === 'allocate' && held.size < usable.length) {
          const address = ipam.allocate()[0]!
          if (!mayBeGiven(address)) return false
          held.add(address)
        }
        if (ipam.status()[0]?.used !== held.size) return false
      }
      return true
    }),
  )
})
