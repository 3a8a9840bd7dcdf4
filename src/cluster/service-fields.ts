// Fields that Services, EndpointSlices, policies and pods share. Names and numbers end up in rules and addresses in
// DNAT targets, so nothing passes unchecked.
import { type Address, parseAddress } from '../net/address.ts'
import { type Cidr, cidrOf, parseInterfaceAddress } from '../net/cidr.ts'
import { asText, shown } from './raw-values.ts'
import type { Protocol } from './service.ts'

const dnsLabel = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/

/**
 * @throws {TypeError} unless it is a DNS label (RFC 1123), as the API server demands of namespaces, Services and ports.
 */
export function parseLabel(text: unknown): string {
  if (typeof text !== 'string' || !dnsLabel.test(text))
    throw new TypeError(`Expected a name of 1 to 63 lower-case letters, digits or dashes, got \`${shown(text)}\``)
  return text
}

/** The name of a port; "" where it has none. @throws {TypeError} as {@link parseLabel}. */
export function parsePortName(text: unknown = ''): string {
  return text === '' ? '' : parseLabel(text)
}

/** IANA_SVC_NAME, as containers name their ports. */
const servicePortName = /^(?=.{1,15}$)(?=.*[a-z])(?!.*--)[a-z0-9]([-a-z0-9]*[a-z0-9])?$/

/**
 * The name of a container's port.
 * @throws {TypeError} unless it is up to 15 lower-case letters, digits or dashes with a letter among them (RFC 6335).
 */
export function parseServicePortName(text: unknown): string {
  if (typeof text !== 'string' || !servicePortName.test(text))
    throw new TypeError(
      `Expected the name of a port, up to 15 lower-case letters, digits or dashes, got \`${shown(text)}\``,
    )
  return text
}

/** @throws {TypeError} unless it is a whole number from 1 to 65535. */
export function parsePortNumber(value: unknown): number {
  if (!Number.isInteger(value) || Number(value) < 1 || Number(value) > 65_535)
    throw new TypeError(`Expected a port from 1 to 65535, got \`${shown(value)}\``)
  return Number(value)
}

/** TCP where none is said. @throws {TypeError} unless it is TCP, UDP or SCTP. */
export function parseProtocol(text: unknown = 'TCP'): Protocol {
  if (text === 'TCP') return 'tcp'
  if (text === 'UDP') return 'udp'
  if (text === 'SCTP') return 'sctp'
  throw new TypeError(`Expected the protocol TCP, UDP or SCTP, got \`${shown(text)}\``)
}

/**
 * As kube-proxy reads addresses in Services and slices (ParseIPSloppy): zeros before an octet of IPv4 mean nothing.
 * @throws {TypeError}
 */
export function parseSloppyAddress(text: unknown): Address {
  const trimmed = asText(text).trim()
  return parseAddress(/^\d+(\.\d+){3}$/.test(trimmed) ? trimmed.split('.').map(Number).join('.') : trimmed)
}

/** Host bits are cut off, as kube-proxy does. @throws {TypeError} */
export function parseSloppyCidr(text: unknown): Cidr {
  const [head = '', ...rest] = asText(text).trim().split('/')
  const { address, prefix } = parseInterfaceAddress([parseSloppyAddress(head), ...rest].join('/'))
  return cidrOf(address, prefix)
}
