// Converts a Service object to a ClusterService, and compares two. Invalid entries are left out and reported; the rest
// of the Service is used.
import { isDeepStrictEqual } from 'node:util'
import { type Address, familyOf } from '../net/address.ts'
import { createdAtOf, type KubeObject, keyOf, readObject } from './kube-object.ts'
import { parseEach } from './parse-each.ts'
import type { Report } from './problem.ts'
import { listOf, shown } from './raw-values.ts'
import type { ClusterService, ClusterServicePort, ServiceType, TrafficPolicy } from './service.ts'
import {
  parseLabel,
  parsePortName,
  parsePortNumber,
  parseProtocol,
  parseSloppyAddress,
  parseSloppyCidr,
} from './service-fields.ts'

interface RawService extends KubeObject {
  readonly spec?: {
    readonly type?: ServiceType | 'ExternalName'
    readonly clusterIP?: string
    readonly clusterIPs?: readonly string[]
    readonly ipFamilies?: readonly ('IPv4' | 'IPv6')[]
    readonly ports?: readonly RawPort[]
    readonly externalIPs?: readonly string[]
    readonly loadBalancerSourceRanges?: readonly string[]
    readonly internalTrafficPolicy?: TrafficPolicy
    readonly externalTrafficPolicy?: TrafficPolicy
    readonly healthCheckNodePort?: number
    readonly sessionAffinity?: 'None' | 'ClientIP'
    readonly sessionAffinityConfig?: { readonly clientIP?: { readonly timeoutSeconds?: number } }
  }
  readonly status?: {
    readonly loadBalancer?: {
      readonly ingress?: readonly { readonly ip?: string; readonly ipMode?: 'VIP' | 'Proxy' }[]
    }
  }
}

interface RawPort {
  readonly name?: string
  readonly protocol?: string
  readonly port: number
  readonly nodePort?: number
}

/** The API server's default for sessionAffinityConfig.clientIP.timeoutSeconds: three hours. */
const defaultAffinitySeconds = 10_800

/**
 * Projects a Service.
 * @returns undefined when there is nothing to proxy: an ExternalName or headless Service, one without a ClusterIP yet,
 * or one of another proxy.
 * @throws {TypeError} when namespace or name is not a DNS label.
 */
export function projectService(
  raw: unknown,
  report: Report,
): readonly [key: string, service: ClusterService] | undefined {
  const service = readObject(raw, 'Service', report) as RawService
  const { spec = {}, status, metadata } = service
  if (metadata.labels?.['service.kubernetes.io/service-proxy-name'] !== undefined || spec.type === 'ExternalName')
    return undefined
  const leftOut = (field: string, reason: string) => (value: unknown, why: string) =>
    report(`Service ${keyOf(service)}: ${field} \`${shown(value)}\` is left out: ${why}`, reason)
  const clusterIps = clusterIpsOf(spec, leftOut('spec.clusterIPs', 'cluster-ip'))
  if (clusterIps.length === 0) return undefined
  const ingress = listOf(status?.loadBalancer?.ingress, 'status.loadBalancer.ingress')
    .filter(({ ip, ipMode = 'VIP' }) => ip && ipMode === 'VIP')
    .map(({ ip = '' }) => ip)
  const value: ClusterService = Object.freeze({
    namespace: parseLabel(metadata.namespace),
    name: parseLabel(metadata.name),
    uid: metadata.uid ?? '',
    createdAt: createdAtOf(service),
    type: spec.type ?? 'ClusterIP',
    clusterIps,
    ports: portsOf(listOf(spec.ports, 'spec.ports'), leftOut('spec.ports', 'service-port')),
    externalIps: parseEach(
      filled(listOf(spec.externalIPs, 'spec.externalIPs')),
      parseSloppyAddress,
      leftOut('spec.externalIPs', 'external-ip'),
    ),
    loadBalancerIps: parseEach(ingress, parseSloppyAddress, leftOut('status.loadBalancer.ingress', 'load-balancer-ip')),
    sourceRanges: parseEach(
      filled(listOf(spec.loadBalancerSourceRanges, 'spec.loadBalancerSourceRanges')),
      parseSloppyCidr,
      leftOut('spec.loadBalancerSourceRanges', 'source-range'),
    ),
    internalTrafficPolicy: spec.internalTrafficPolicy ?? 'Cluster',
    externalTrafficPolicy: spec.externalTrafficPolicy ?? 'Cluster',
    healthCheckNodePort: optionalPort(
      spec.healthCheckNodePort,
      leftOut('spec.healthCheckNodePort', 'health-check-node-port'),
    ),
    affinitySeconds:
      spec.sessionAffinity === 'ClientIP'
        ? affinitySecondsOf(
            spec.sessionAffinityConfig?.clientIP?.timeoutSeconds,
            leftOut('spec.sessionAffinityConfig', 'session-affinity'),
          )
        : undefined,
  })
  return [keyOf(service), value]
}

/** Returns false when anything that we keep differs. */
export function sameService(a: ClusterService, b: ClusterService): boolean {
  return isDeepStrictEqual(a, b)
}

type LeftOut = (value: unknown, why: string) => void

/**
 * Returns the ClusterIPs, at most one of each family. clusterIPs[i] has the family ipFamilies[i], or its own where the
 * lists do not match: an API server older than dual-stack does not set ipFamilies.
 */
function clusterIpsOf(
  { clusterIP = '', clusterIPs, ipFamilies }: NonNullable<RawService['spec']>,
  leftOut: LeftOut,
): readonly Address[] {
  const listed = listOf(clusterIPs, 'spec.clusterIPs')
  const texts = listed.length === 0 ? [clusterIP] : listed
  const listedFamilies = listOf(ipFamilies, 'spec.ipFamilies')
  const families = listedFamilies.length === texts.length ? listedFamilies : []
  const addresses = new Map<number, Address>()
  for (const [index, text] of texts.entries()) {
    if (text === '' || text === 'None') continue
    parseEach(
      [text],
      (each) => {
        const address = parseSloppyAddress(each)
        const family = familyOf(address)
        if ((families[index] ?? `IPv${family}`) !== `IPv${family}`)
          throw new TypeError(`Expected an ${families[index]} address, as spec.ipFamilies says`)
        if (addresses.has(family)) throw new TypeError(`Expected at most one IPv${family} address`)
        addresses.set(family, address)
      },
      leftOut,
    )
  }
  return Object.freeze([...addresses.values()])
}

function portsOf(raw: readonly RawPort[], leftOut: LeftOut): readonly ClusterServicePort[] {
  const seen = new Set<string>()
  return parseEach(
    raw,
    (each) => {
      const port = Object.freeze({
        name: parsePortName(each.name),
        protocol: parseProtocol(each.protocol),
        port: parsePortNumber(each.port),
        nodePort: each.nodePort === undefined || each.nodePort === 0 ? 0 : parsePortNumber(each.nodePort),
      })
      const key = `${port.name}/${port.protocol}`
      if (seen.has(key)) throw new TypeError(`Expected names to be unique, got \`${port.name}\` twice`)
      seen.add(key)
      return port
    },
    leftOut,
  )
}

function optionalPort(value: unknown, leftOut: LeftOut): number {
  if (value === undefined || value === 0) return 0
  return parseEach([value], parsePortNumber, leftOut)[0] ?? 0
}

function affinitySecondsOf(value: unknown, leftOut: LeftOut): number {
  if (value === undefined) return defaultAffinitySeconds
  const parse = (seconds: unknown): number => {
    if (Number.isInteger(seconds) && Number(seconds) >= 1 && Number(seconds) <= 86_400) return Number(seconds)
    throw new TypeError(`Expected timeoutSeconds from 1 to 86400; using ${defaultAffinitySeconds}`)
  }
  return parseEach([value], parse, leftOut)[0] ?? defaultAffinitySeconds
}

function filled(texts: readonly unknown[]): readonly unknown[] {
  return texts.filter((text) => typeof text !== 'string' || text.trim() !== '')
}
