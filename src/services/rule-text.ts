// The parts of a rule, spelled and ordered as iptables-save has them: addresses, interfaces, protocol, matches, target.
import type { Protocol } from '../cluster/service.ts'
import { type Address, addressBits, type Family, familyOf } from '../net/address.ts'
import { type Cidr, formatCidr } from '../net/cidr.ts'

/** Text after `-A CHAIN `; empty parts are left out. */
export function rule(...parts: readonly string[]): string {
  return parts.filter(Boolean).join(' ')
}

/**
 * Text that holds a space, a slash or a colon: iptables prints it in quotes. It is made of names that were checked when
 * they were read.
 */
export function comment(text: string): string {
  return `-m comment --comment "${text}"`
}

export function from(address: Address): string {
  return `-s ${host(address)}`
}

export function to(address: Address): string {
  return `-d ${host(address)}`
}

export function fromCidr(cidr: Cidr): string {
  return `-s ${formatCidr(cidr)}`
}

export function protocolIs(protocol: Protocol): string {
  return `-p ${protocol}`
}

export function toPort(protocol: Protocol, port: number): string {
  return `-m ${protocol} --dport ${port}`
}

export function jump(target: string): string {
  return `-j ${target}`
}

/** ICMP tells the client at once that nobody answers. */
export function reject(family: Family): string {
  return `-j REJECT --reject-with ${family === 4 ? 'icmp-port-unreachable' : 'icmp6-port-unreachable'}`
}

/** The bit as VALUE/MASK. @param bit 0 to 31 */
export function markOf(bit: number): string {
  const hex = `0x${(2 ** bit).toString(16)}`
  return `${hex}/${hex}`
}

function host(address: Address): string {
  return `${address}/${addressBits(familyOf(address))}`
}
