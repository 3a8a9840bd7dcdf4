import fc from 'fast-check'
import { expect, test } from 'vitest'
import { addressFromBigInt, addressToBigInt, canonicalAddress, familyOf, parseAddress } from './address.ts'
import { aggregateCidrs, cidrContains, cidrOf, cidrsOverlap, formatCidr, nthAddress, parseCidr } from './cidr.ts'
import { parseInterfaceName } from './interface-name.ts'
import { addressOfMac, macOf, parseMac } from './mac.ts'

const ipv4 = fc.bigInt(0n, 2n ** 32n - 1n).map((n) => addressFromBigInt(n, 4))
const ipv6 = fc.bigInt(0n, 2n ** 128n - 1n).map((n) => addressFromBigInt(n, 6))
const cidr4 = fc.tuple(ipv4, fc.integer({ min: 20, max: 32 })).map(([address, prefix]) => cidrOf(address, prefix))

test('an address survives the way to a number and back', () => {
  fc.assert(
    fc.property(
      fc.oneof(ipv4, ipv6),
      (a) => addressFromBigInt(addressToBigInt(a), familyOf(a)) === a && parseAddress(a) === a,
    ),
  )
})

test('IPv6 text is canonical, so equal addresses are equal strings', () => {
  expect(parseAddress('FD00:0:0::1')).toBe(parseAddress('fd00::1'))
})

test.each([
  '10.1',
  '10.0.0.1.',
  '10.0.0',
  '01.2.3.4',
  '1.2.3.4.5',
  ' 1.2.3.4',
  '0x7f.0.0.1',
  '10.0.0.256',
  '10.0.0.1/24',
  '',
  'fe80::1%eth0',
  '::g',
  '1.2.3.4\n',
])('%j is no address', (text) => {
  expect(canonicalAddress(text)).toBeUndefined()
  expect(() => parseAddress(text)).toThrow(TypeError)
})

test.each(['10.0.0.0', '10.0.0.0/33', '10.0.0.0/-1', '10.0.0.0/24/1', '10.0.0.0/', 'fd00::/129'])(
  '%j is no CIDR',
  (text) => {
    expect(() => parseCidr(text)).toThrow(TypeError)
  },
)

test('host bits are refused with the block that was meant', () => {
  expect(() => parseCidr('10.244.1.5/24')).toThrow('did you mean 10.244.1.0/24?')
})

test('a block holds its first and last address and nothing outside', () => {
  const block = parseCidr('172.30.1.0/24')
  expect(nthAddress(block, 255)).toBe('172.30.1.255')
  expect(() => nthAddress(block, 256)).toThrow(RangeError)
  expect(cidrContains(block, parseAddress('172.30.2.0'))).toBe(false)
  expect(cidrContains(block, parseAddress('fd00::1'))).toBe(false)
  expect(cidrsOverlap(block, parseCidr('172.30.0.0/16'))).toBe(true)
  expect(cidrsOverlap(block, parseCidr('172.30.2.0/24'))).toBe(false)
})

test('aggregating keeps exactly the same addresses in the fewest blocks', () => {
  const nodes = Array.from({ length: 256 }, (_, i) => parseCidr(`10.244.${i}.0/24`))
  expect(aggregateCidrs(nodes).map(formatCidr)).toEqual(['10.244.0.0/16'])
  fc.assert(
    fc.property(fc.array(cidr4, { maxLength: 12 }), fc.array(ipv4), (blocks, probes) => {
      const fewer = aggregateCidrs(blocks)
      const edges = [...blocks, ...fewer].flatMap((b) => [b.network, nthAddress(b, 2n ** BigInt(32 - b.prefix) - 1n)])
      return (
        fewer.length <= blocks.length &&
        [...probes, ...edges].every(
          (a) => blocks.some((b) => cidrContains(b, a)) === fewer.some((b) => cidrContains(b, a)),
        )
      )
    }),
  )
})

test('a MAC can be read back, and no two roles share one', () => {
  expect(macOf('pod', parseAddress('10.244.2.5'))).toBe('0a:58:0a:f4:02:05')
  fc.assert(
    fc.property(
      ipv4,
      (a) => addressOfMac('vtep', macOf('vtep', a)) === a && addressOfMac('vtep', macOf('pod', a)) === undefined,
    ),
  )
  fc.assert(
    fc.property(fc.oneof(ipv4, ipv6), (a) => (Number.parseInt(parseMac(macOf('vtep', a)).slice(0, 2), 16) & 3) === 2),
  )
})

test.each(['', '.', '..', 'a b', 'eth0\nlink del', 'sixteen-letters-', 'a/b', '-x', 'a:b'])(
  '%j is no interface name',
  (text) => {
    expect(() => parseInterfaceName(text)).toThrow(TypeError)
  },
)
