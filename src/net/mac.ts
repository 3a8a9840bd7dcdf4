// Hardware addresses, and those we derive from IP addresses so that both sides can compute them.
import { createHash } from 'node:crypto'
import { type Address, addressFromBigInt, addressToBigInt, familyOf } from './address.ts'

declare const mac: unique symbol
/** A 48-bit MAC address as six lower-case hex pairs. Made by {@link parseMac} and the functions here. */
export type Mac = string & { readonly [mac]: true }

/** @throws {TypeError} when the text is not six hex pairs divided by colons. */
export function parseMac(text: string): Mac {
  const lower = text.toLowerCase()
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/.test(lower)) throw new TypeError(`Expected a MAC address, got \`${text}\``)
  return lower as Mac
}

/**
 * The MAC we give to the owner of an address. IPv4: our prefix byte and 0x58, then the four bytes of the address, so a
 * person can read it back (10.244.2.5 is 0a:58:0a:f4:02:05 for a pod). IPv6: the prefix byte and 40 bits of a hash.
 * Both are unicast and locally administered (IEEE 802, bit 1 of the first byte).
 */
export function macOf(role: MacRole, address: Address): Mac {
  const first = macRoles[role]
  const bytes =
    familyOf(address) === 4
      ? [first, 0x58, ...bytesOf(address)]
      : [first, ...createHash('sha256').update(address).digest().subarray(0, 5)]
  return bytes.map((byte) => byte.toString(16).padStart(2, '0')).join(':') as Mac
}

/** Who owns the MAC: a pod's eth0, the bridge (gateway) or a node's VTEP. Never two of them share a value. */
export type MacRole = 'pod' | 'gateway' | 'vtep'
const macRoles: Record<MacRole, number> = { pod: 0x0a, gateway: 0x0e, vtep: 0x02 }

/**
 * The link-local address that an interface with this MAC gives itself (RFC 4291, appendix A), unless its system prefers
 * another.
 */
export function linkLocalOf(value: Mac): Address {
  const [first = 0, ...rest] = value.split(':').map((pair) => Number.parseInt(pair, 16))
  const identifier = [first ^ 0x02, ...rest.slice(0, 2), 0xff, 0xfe, ...rest.slice(2)]
  return addressFromBigInt(
    identifier.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0xfe80n << 48n),
    6,
  )
}

/** The IPv4 address that {@link macOf} put in, or undefined where the MAC is not of that role. */
export function addressOfMac(role: MacRole, value: Mac): Address | undefined {
  const [first, second, ...rest] = value.split(':').map((pair) => Number.parseInt(pair, 16))
  if (first !== macRoles[role] || second !== 0x58) return undefined
  return addressFromBigInt(
    rest.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n),
    4,
  )
}

function bytesOf(address: Address): number[] {
  const value = Number(addressToBigInt(address))
  return [24, 16, 8, 0].map((shift) => (value >>> shift) & 0xff)
}
