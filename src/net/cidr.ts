// CIDR blocks: a network address and a prefix length.
import {
  type Address,
  addressBits,
  addressFromBigInt,
  addressToBigInt,
  type Family,
  familyOf,
  parseAddress,
} from './address.ts'

export interface Cidr {
  readonly family: Family
  /** The first address; every host bit is zero. */
  readonly network: Address
  readonly prefix: number
}

/**
 * Parses a block.
 * @throws {TypeError} when the text is not ADDRESS/PREFIX with all host bits zero.
 */
export function parseCidr(text: string): Cidr {
  const { address, prefix } = parseInterfaceAddress(text)
  const cidr = cidrOf(address, prefix)
  if (cidr.network !== address)
    throw new TypeError(`Expected a CIDR without host bits, got \`${text}\` (did you mean ${formatCidr(cidr)}?)`)
  return cidr
}

/**
 * Parses ADDRESS/PREFIX as it is configured on an interface, where host bits are allowed.
 * @throws {TypeError} when the text is anything else.
 */
export function parseInterfaceAddress(text: string): { address: Address; prefix: number } {
  const [head = '', tail, ...rest] = text.split('/')
  if (tail === undefined || rest.length > 0 || !/^\d{1,3}$/.test(tail))
    throw new TypeError(`Expected ADDRESS/PREFIX, got \`${text}\``)
  const address = parseAddress(head)
  const prefix = Number(tail)
  if (prefix > addressBits(familyOf(address)))
    throw new TypeError(`Expected a prefix of at most ${addressBits(familyOf(address))}, got \`${text}\``)
  return { address, prefix }
}

/** Returns the block of this prefix length that contains the address. */
export function cidrOf(address: Address, prefix: number): Cidr {
  const family = familyOf(address)
  const hostBits = BigInt(addressBits(family) - prefix)
  return { family, network: addressFromBigInt((addressToBigInt(address) >> hostBits) << hostBits, family), prefix }
}

export function formatCidr(cidr: Cidr): string {
  return `${cidr.network}/${cidr.prefix}`
}

/** Returns the number of addresses in the block, network and broadcast address included. */
export function cidrSize(cidr: Cidr): bigint {
  return 1n << BigInt(addressBits(cidr.family) - cidr.prefix)
}

/**
 * Returns the nth address of the block; the network address has index 0.
 * @throws {RangeError} when the block has fewer addresses.
 */
export function nthAddress(cidr: Cidr, n: number | bigint): Address {
  if (BigInt(n) < 0n || BigInt(n) >= cidrSize(cidr))
    throw new RangeError(`Expected an index below ${cidrSize(cidr)} in ${formatCidr(cidr)}, got ${n}`)
  return addressFromBigInt(addressToBigInt(cidr.network) + BigInt(n), cidr.family)
}

export function cidrContains(cidr: Cidr, address: Address): boolean {
  return familyOf(address) === cidr.family && cidrOf(address, cidr.prefix).network === cidr.network
}

/** Returns a test for addresses within any of the blocks, quick enough for a question a conntrack entry. */
export function withinAny(cidrs: readonly Cidr[]): (address: Address) => boolean {
  const isHost = ({ family, prefix }: Cidr): boolean => prefix === addressBits(family)
  const known = new Map(cidrs.filter(isHost).map(({ network }) => [network, true]))
  const blocks = cidrs.filter((cidr) => !isHost(cidr))
  return (address) => {
    let within = known.get(address)
    if (within === undefined) {
      within = blocks.some((block) => cidrContains(block, address))
      known.set(address, within)
    }
    return within
  }
}

export function cidrsOverlap(a: Cidr, b: Cidr): boolean {
  return a.prefix <= b.prefix ? cidrContains(a, b.network) : cidrContains(b, a.network)
}

/** Merges blocks, of either family, into the fewest blocks that hold exactly the same addresses, in address order. */
export function aggregateCidrs(cidrs: readonly Cidr[]): Cidr[] {
  const sorted = cidrs.toSorted(
    (a, b) =>
      a.family - b.family || compare(addressToBigInt(a.network), addressToBigInt(b.network)) || a.prefix - b.prefix,
  )
  const done: Cidr[] = []
  for (let next of sorted) {
    let last = done.at(-1)
    if (last !== undefined && last.prefix <= next.prefix && cidrContains(last, next.network)) continue
    while (last !== undefined && areSiblings(last, next)) {
      done.pop()
      next = cidrOf(last.network, last.prefix - 1)
      last = done.at(-1)
    }
    done.push(next)
  }
  return done
}

function areSiblings(a: Cidr, b: Cidr): boolean {
  return (
    a.family === b.family &&
    a.prefix === b.prefix &&
    a.prefix > 0 &&
    cidrOf(a.network, a.prefix - 1).network === cidrOf(b.network, b.prefix - 1).network
  )
}

function compare(a: bigint, b: bigint): number {
  if (a === b) return 0
  return a < b ? -1 : 1
}
