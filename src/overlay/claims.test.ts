import fc from 'fast-check'
import { expect, test } from 'vitest'
import { addressFromBigInt } from '../net/address.ts'
import { type Cidr, cidrContains, cidrOf, cidrsOverlap } from '../net/cidr.ts'
import { Claims } from './claims.ts'

const block = fc
  .tuple(fc.bigInt(0n, 255n), fc.integer({ min: 26, max: 32 }))
  .map(([host, prefix]) => cidrOf(addressFromBigInt((10n << 24n) + host, 4), prefix))

test('a claim is found exactly where blocks overlap or hold the address, whatever the sizes and the order', () => {
  fc.assert(
    fc.property(fc.array(block), block, (claimed, probe) => {
      const claims = new Claims()
      const held: Cidr[] = []
      for (const cidr of claimed) {
        if (!held.some((other) => cidrsOverlap(other, cidr))) held.push(cidr)
        claims.add(cidr, 'node')
      }
      expect(claims.find(probe) !== undefined).toBe(held.some((cidr) => cidrsOverlap(cidr, probe)))
      expect(claims.holder(probe.network)?.cidr).toEqual(held.find((cidr) => cidrContains(cidr, probe.network)))
    }),
  )
})
