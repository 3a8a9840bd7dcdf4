// Converts an EndpointSlice object to a ClusterEndpointSlice, and compares two. Invalid parts are left out and
// reported; the rest of the slice is used.
import { isDeepStrictEqual } from 'node:util'
import { type Address, type Family, familyOf } from '../net/address.ts'
import type { ClusterEndpointSlice, SliceEndpoint, SlicePort } from './endpoint-slice.ts'
import { type KubeObject, keyOf, readObject } from './kube-object.ts'
import { parseEach, RejectedEntryError } from './parse-each.ts'
import type { Report } from './problem.ts'
import { listOf, shown } from './raw-values.ts'
import { parsePortName, parsePortNumber, parseProtocol, parseSloppyAddress } from './service-fields.ts'

interface RawSlice extends KubeObject {
  readonly addressType: string
  readonly ports?: readonly { readonly name?: string; readonly protocol?: string; readonly port?: number }[]
  readonly endpoints?: readonly RawEndpoint[]
}

interface RawEndpoint {
  readonly addresses?: readonly string[]
  readonly conditions?: { readonly ready?: boolean; readonly serving?: boolean; readonly terminating?: boolean }
  readonly nodeName?: string
  readonly hints?: {
    readonly forZones?: readonly { readonly name?: string }[]
    readonly forNodes?: readonly { readonly name?: string }[]
  }
}

const families: ReadonlyMap<string, Family> = new Map([
  ['IPv4', 4],
  ['IPv6', 6],
])

/**
 * Projects a slice.
 * @returns undefined when there is nothing to proxy: a slice of a headless Service, of host names (FQDN), or without a
 * Service, which is reported.
 * @throws {TypeError} when the object has no name.
 */
export function projectEndpointSlice(
  raw: unknown,
  report: Report,
): readonly [key: string, slice: ClusterEndpointSlice] | undefined {
  const slice = readObject(raw, 'EndpointSlice', report) as RawSlice
  const { namespace = '', name, labels = {}, annotations = {} } = slice.metadata
  const family = families.get(slice.addressType)
  if (family === undefined || labels['service.kubernetes.io/headless'] !== undefined) return undefined
  const service = labels['kubernetes.io/service-name']
  if (!service) {
    report(
      `EndpointSlice ${keyOf(slice)} is left out: it names no Service; give it the label kubernetes.io/service-name`,
      'slice-without-service',
    )
    return undefined
  }
  const leftOut = (field: string, value: unknown, why: string, reason: string) =>
    report(`EndpointSlice ${keyOf(slice)}: ${field} \`${shown(value)}\` is left out: ${why}`, reason)
  const value: ClusterEndpointSlice = Object.freeze({
    namespace,
    name,
    service,
    family,
    ports: parseEach(listOf(slice.ports, 'ports'), parsePort, (port, why) => leftOut('ports', port, why, 'slice-port')),
    endpoints: parseEach(
      listOf(slice.endpoints, 'endpoints'),
      (endpoint) => parseEndpoint(endpoint, family),
      ({ addresses }, why, reason = 'endpoint-address') => leftOut('endpoints', addresses, why, reason),
    ),
    changeTriggeredAt: Date.parse(annotations['endpoints.kubernetes.io/last-change-trigger-time'] ?? '') || undefined,
  })
  return [keyOf(slice), value]
}

/** Returns false when anything that we keep differs. */
export function sameEndpointSlice(a: ClusterEndpointSlice, b: ClusterEndpointSlice): boolean {
  return isDeepStrictEqual(a, b)
}

function parsePort({ name, protocol, port }: NonNullable<RawSlice['ports']>[number]): SlicePort {
  return Object.freeze({ name: parsePortName(name), protocol: parseProtocol(protocol), port: parsePortNumber(port) })
}

/**
 * Parses an endpoint. As kube-proxy does, it uses the first of several addresses. A missing condition defaults to
 * ready, serving and not terminating.
 */
function parseEndpoint(
  { addresses, conditions = {}, nodeName, hints = {} }: RawEndpoint,
  family: Family,
): SliceEndpoint {
  return Object.freeze({
    address: parseEndpointAddress(listOf(addresses, 'addresses')[0] ?? '', family),
    ready: conditions.ready ?? true,
    serving: conditions.serving ?? true,
    terminating: conditions.terminating ?? false,
    node: nodeName === '' ? undefined : nodeName,
    zoneHints: namesOf(hints.forZones, 'hints.forZones'),
    nodeHints: namesOf(hints.forNodes, 'hints.forNodes'),
  })
}

// Shared by most endpoints, instead of an array for each.
const noNames: readonly string[] = Object.freeze([])

function namesOf(raw: readonly { readonly name?: string }[] | undefined, field: string): readonly string[] {
  const names = listOf(raw, field).flatMap(({ name }) => name ?? [])
  return names.length === 0 ? noNames : Object.freeze(names)
}

/**
 * Addresses that the API server rejects in slices (ValidateEndpointIP): unspecified, loopback and link-local. A node
 * that forwarded to one of them would reach itself.
 */
const special = /^(0\.0\.0\.0$|127\.|169\.254\.|224\.0\.0\.|::1?$|fe[89ab][0-9a-f]:|ff02:)/

function parseEndpointAddress(text: string, family: Family): Address {
  const address = parseSloppyAddress(text)
  if (familyOf(address) !== family)
    throw new RejectedEntryError(`Expected an IPv${family} address, as addressType says`, 'endpoint-of-other-family')
  if (special.test(address))
    throw new RejectedEntryError(
      'Expected an address that other nodes can reach, not a loopback, link-local or unspecified one',
      'endpoint-out-of-reach',
    )
  return address
}
