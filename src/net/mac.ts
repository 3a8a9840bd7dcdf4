// MAC addresses. Ours are derived from IP addresses, so that every node can compute those of its peers.
import { createHash } from 'node:crypto'
import { type Address, addressFromBigInt, addressToBigInt, familyOf } from './address.ts'

declare const mac: unique symbol
/** A 48-bit MAC address as six lower-case hex pairs. Only this file makes them. */
export type Mac = string & { readonly [mac]: true }

/**
 * Parses a MAC address in either case.
 * @throws {TypeError} when the text is not six hex pairs with colons between them.
 */
export function parseMac(text: string): Mac {
  const lower = text.toLowerCase()
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/.test(lower)) throw new TypeError(`Expected a MAC address, got \`${text}\``)
  return lower as Mac
}

/**
 * Derives the MAC of the interface that owns an address. For IPv4 it is the byte of the role, 0x58 and the four bytes
 * of the address, so that a person can read it: pod 10.244.2.5 has 0a:58:0a:f4:02:05. For IPv6 it is the byte of the
 * role and 40 bits of a hash. Both are unicast and locally administered (IEEE 802, bit 1 of the first byte).
 */
export function macOf(role: MacRole, address: Address): Mac {
  const first = macRoles[role]
  const bytes =
    familyOf(address) === 4
      ? [first, 0x58, ...bytesOf(address)]
      : [first, ...createHash('sha256').update(address).digest().subarray(0, 5)]
  return bytes.map((byte) => byte.toString(16).padStart(2, '0')).join(':') as Mac
}

/** The interface that has the MAC: a pod's eth0, the bridge (gateway) or a node's VTEP. No two roles share a MAC. */
export type MacRole = 'pod' | 'gateway' | 'vtep'
const macRoles: Record<MacRole, number> = { pod: 0x0a, gateway: 0x0e, vtep: 0x02 }

/**
 * Returns the link-local address that the kernel generates for an interface with this MAC (RFC 4291, appendix A),
 * unless the interface has another address generation mode.
 */
export function linkLocalOf(value: Mac): Address {
  const [first = 0, ...rest] = value.split(':').map((pair) => Number.parseInt(pair, 16))
  const identifier = [first ^ 0x02, ...rest.slice(0, 2), 0xff, 0xfe, ...rest.slice(2)]
  return addressFromBigInt(
    identifier.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0xfe80n << 48n),
    6,
  )
}

/**
 * Reads the IPv4 address back out of a MAC that {@link macOf} made.
 * @returns undefined when the MAC was not made for this role.
 */
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
