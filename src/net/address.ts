// IP addresses as values: parsed once at the edge, canonical text inside, so that `===` compares them.
import ipaddr from 'ipaddr.js'

export type Family = 4 | 6

declare const address: unique symbol
/** An IPv4 or IPv6 address in canonical text (RFC 5952 for IPv6). Made by {@link parseAddress} alone. */
export type Address = string & { readonly [address]: true }

/** @throws {TypeError} when the text is not one full IPv4 or IPv6 address. */
export function parseAddress(text: string): Address {
  const canonical = canonicalAddress(text)
  if (canonical === undefined) throw new TypeError(`Expected an IP address, got \`${text}\``)
  return canonical
}

/** The address, or undefined where the text is none: for fields that may hold a name instead. */
export function canonicalAddress(text: string): Address | undefined {
  // ipaddr.js also takes "10.1" and "0x7f.1", as inet_aton does; nobody means those here.
  const ok = text.includes(':') ? ipaddr.IPv6.isValid(text) && !text.includes('%') : ipaddr.IPv4.isValidFourPartDecimal(text)
  return ok ? (ipaddr.parse(text).toString() as Address) : undefined
}

export function familyOf(value: Address): Family {
  return value.includes(':') ? 6 : 4
}

/** Bits in an address of the family: 32 or 128. */
export function addressBits(family: Family): 32 | 128 {
  return family === 4 ? 32 : 128
}

export function addressToBigInt(value: Address): bigint {
  return ipaddr.parse(value).toByteArray().reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n)
}

/** @throws {RangeError} when the number does not fit the family. */
export function addressFromBigInt(value: bigint, family: Family): Address {
  const bits = addressBits(family)
  if (value < 0n || value >> BigInt(bits) !== 0n) throw new RangeError(`Expected a number of ${bits} bits, got ${value}`)
  const bytes = Array.from({ length: bits / 8 }, (_, i) => Number((value >> BigInt(bits - 8 * (i + 1))) & 0xffn))
  return ipaddr.fromByteArray(bytes).toString() as Address
}
