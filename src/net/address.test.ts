import fc from 'fast-check'
import { expect, test } from 'vitest'
import { addressFromBigInt, addressToBigInt, canonicalAddress, familyOf, parseAddress } from './address.ts'
import { aggregateCidrs, cidrContains, cidrOf, cidrsOverlap, formatCidr, nthAddress, parseCidr } from './cidr.ts'
import { parseInterfaceName } from './interface-name.ts'
import { addressOfMac, macOf, parseMac } from './mac.ts'

const ipv4 = fc.bigInt(0n, 2n ** 32n - 1n).map((n) => addressFromBigInt(n, 4))
const ipv6 = fc.bigInt(0n, 2n ** 128n - 1n).map((n) => addressFromBigInt(n, 6))
const cidr4 = fc.tuple(ipv4, fc.integer({ min: 20, max: 32 })).map(([address, prefix]) => cidrOf(address, prefix))

test('converts an address to a number and back', () => {
  fc.assert(
    fc.property(
      fc.oneof(ipv4, ipv6),
      (a) => addressFromBigInt(addressToBigInt(a), familyOf(a)) === a && parseAddress(a) === a,
    ),
  )
})

test('canonicalizes IPv6 text, so that equal addresses are equal strings', () => {
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
])('rejects %j as an address', (text) => {
  expect(canonicalAddress(text)).toBeUndefined()
  expect(() => parseAddress(text)).toThrow(TypeError)
})

test.each(['10.0.0.0', '10.0.0.0/33', '10.0.0.0/-1', '10.0.0.0/24/1', '10.0.0.0/', 'fd00::/129'])(
  'rejects %j as a CIDR',
  (text) => {
    expect(() => parseCidr(text)).toThrow(TypeError)
  },
)

test('rejects host bits and suggests the block without them', () => {
  expect(() => parseCidr('10.244.1.5/24')).toThrow('did you mean 10.244.1.0/24?')
})

test('contains its first and last address and nothing outside', () => {
  const block = parseCidr('172.30.1.0/24')
  expect(nthAddress(block, 255)).toBe('172.30.1.255')
  expect(() => nthAddress(block, 256)).toThrow(RangeError)
  expect(cidrContains(block, parseAddress('172.30.2.0'))).toBe(false)
  expect(cidrContains(block, parseAddress('fd00::1'))).toBe(false)
  expect(cidrsOverlap(block, parseCidr('172.30.0.0/16'))).toBe(true)
  expect(cidrsOverlap(block, parseCidr('172.30.2.0/24'))).toBe(false)
})

test('aggregates to fewer blocks with exactly the same addresses', () => {
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

test('derives a MAC that can be read back and differs between roles', () => {
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
  'rejects %j as an interface name',
  (text) => {
    expect(() => parseInterfaceName(text)).toThrow(TypeError)
  },
)
