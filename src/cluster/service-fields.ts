// Fields that Services, EndpointSlices, policies and pods share. Names and numbers end up in rules and addresses in
// DNAT targets, so every value is checked.
import { type Address, parseAddress } from '../net/address.ts'
import { type Cidr, cidrOf, parseInterfaceAddress } from '../net/cidr.ts'
import { asText, shown } from './raw-values.ts'
import type { Protocol } from './service.ts'

const dnsLabel = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/

/**
 * Parses a name.
 * @throws {TypeError} unless it is a DNS label (RFC 1123), which the API server requires of namespaces, Services and
 * ports.
 */
export function parseLabel(text: unknown): string {
  if (typeof text !== 'string' || !dnsLabel.test(text))
    throw new TypeError(`Expected a name of 1 to 63 lower-case letters, digits or dashes, got \`${shown(text)}\``)
  return text
}

/**
 * Parses the name of a port; "" when it has none.
 * @throws {TypeError} as {@link parseLabel}.
 */
export function parsePortName(text: unknown = ''): string {
  return text === '' ? '' : parseLabel(text)
}

/** IANA_SVC_NAME (RFC 6335), the format of container port names. */
const servicePortName = /^(?=.{1,15}$)(?=.*[a-z])(?!.*--)[a-z0-9]([-a-z0-9]*[a-z0-9])?$/

/**
 * Parses the name of a container port.
 * @throws {TypeError} unless it is 1 to 15 lower-case letters, digits or dashes with at least one letter (RFC 6335).
 */
export function parseServicePortName(text: unknown): string {
  if (typeof text !== 'string' || !servicePortName.test(text))
    throw new TypeError(
      `Expected the name of a port, up to 15 lower-case letters, digits or dashes, got \`${shown(text)}\``,
    )
  return text
}

/**
 * Parses a port number.
 * @throws {TypeError} unless it is a whole number from 1 to 65535.
 */
export function parsePortNumber(value: unknown): number {
  if (!Number.isInteger(value) || Number(value) < 1 || Number(value) > 65_535)
    throw new TypeError(`Expected a port from 1 to 65535, got \`${shown(value)}\``)
  return Number(value)
}

/**
 * Parses a protocol; the default is TCP.
 * @throws {TypeError} unless it is TCP, UDP or SCTP.
 */
export function parseProtocol(text: unknown = 'TCP'): Protocol {
  if (text === 'TCP') return 'tcp'
  if (text === 'UDP') return 'udp'
  if (text === 'SCTP') return 'sctp'
  throw new TypeError(`Expected the protocol TCP, UDP or SCTP, got \`${shown(text)}\``)
}

/**
 * Parses an address of a Service or slice as kube-proxy does (ParseIPSloppy): leading zeros of an IPv4 octet are
 * ignored.
 * @throws {TypeError} when the text is not an address.
 */
export function parseSloppyAddress(text: unknown): Address {
  const trimmed = asText(text).trim()
  return parseAddress(/^\d+(\.\d+){3}$/.test(trimmed) ? trimmed.split('.').map(Number).join('.') : trimmed)
}

/**
 * Parses a block; host bits are cleared, as kube-proxy does.
 * @throws {TypeError} when the text is not ADDRESS/PREFIX.
 */
export function parseSloppyCidr(text: unknown): Cidr {
  const [head = '', ...rest] = asText(text).trim().split('/')
  const { address, prefix } = parseInterfaceAddress([parseSloppyAddress(head), ...rest].join('/'))
  return cidrOf(address, prefix)
}
