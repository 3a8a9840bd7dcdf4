// The network configuration on stdin: the conflist's plugin object with what libcni put in (CNI spec 1.1.0, section 4). Unknown keys are ignored, whatever
// they hold: other plugins' settings, `capabilities`, and the list's booleans, which arrive as strings at times.
import { z } from 'zod'
import { type Address, parseAddress } from '../../net/address.ts'
import { type InterfaceName, parseInterfaceName } from '../../net/interface-name.ts'
import type { Bandwidth, PortMapping, RateLimit } from '../attachment.ts'
import { CniError, cniCodes } from './cni-error.ts'
import { type CniVersion, parseCniVersion } from './cni-version.ts'
import { parseShape, parseValue } from './parse-shape.ts'

export interface NetConf {
  readonly version: CniVersion
  readonly network: string
  /** The whole object, for the keys that only some commands look at: a DEL must not fail for a field it has no use for. */
  readonly fields: Readonly<Record<string, unknown>>
}

export interface ValidAttachment {
  readonly containerId: string
  readonly podInterface: InterfaceName
}

/** What containerID and network name may look like (reference skeleton); bounded, for both are part of a file's name. */
export const identifier = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/
export const maxContainerIdLength = 128
const maxNetworkLength = 64

/** @throws {CniError} decode for what is not a JSON object, incompatibleVersion, invalidConfig for a bad name. */
export function parseNetConf(stdin: Buffer): NetConf {
  const fields = decode(stdin)
  const version = parseCniVersion(fields['cniVersion'])
  const network = fields['name']
  if (typeof network !== 'string' || network.length > maxNetworkLength || !identifier.test(network)) {
    throw new CniError(cniCodes.invalidConfig, `Expected the network's name to be 1 to ${maxNetworkLength} letters, digits, dots, dashes or underscores, got ${quote(network)}`)
  }
  return { version, network, fields }
}

function decode(stdin: Buffer): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(stdin))
  } catch (error) {
    throw new CniError(cniCodes.decode, 'the network configuration on stdin is not JSON', { details: String(error), cause: error })
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new CniError(cniCodes.decode, 'the network configuration on stdin is not a JSON object')
  return value as Record<string, unknown>
}

// go-cni's structs have no JSON tags: containerd writes HostPort where the specification says hostPort. Go reads both, and so must we.
function anyCase<T extends z.ZodType>(schema: T) {
  return z.preprocess((value) => (isObject(value) ? Object.fromEntries(Object.entries(value).map(([key, inner]) => [key.toLowerCase(), inner])) : value), schema)
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

// Go writes its zero values out, as 0, "" or null: all three mean that nothing was said.
const port = z.int().min(0).max(65535).nullish().transform((value) => value ?? 0)
const text = z.string().nullish().transform((value) => value ?? '')
const bits = z.int().min(0).nullish().transform((value) => value ?? 0)
/** tc holds a burst as bytes in 32 bits. */
const burst = z.int().min(0).max(2 ** 35 - 1).nullish().transform((value) => value ?? 0)

const runtimeConfig = anyCase(
  z.object({
    portmappings: z.array(anyCase(z.object({ hostport: port, containerport: port, protocol: text, hostip: text }))).max(4096).nullish(),
    bandwidth: anyCase(z.object({ ingressrate: bits, ingressburst: burst, egressrate: bits, egressburst: burst })).nullish(),
  }),
).nullish()

/** The values of the capabilities that our conflist declares. @throws {CniError} invalidConfig or unsupportedField. */
export function parseRuntimeConfig(conf: NetConf): { portMappings: readonly PortMapping[]; bandwidth: Bandwidth | undefined } {
  const given = parseShape(runtimeConfig, conf.fields['runtimeConfig'], 'runtimeConfig')
  const portMappings = (given?.portmappings ?? [])
    // The CRI's hostPort 0 means "not specified": there is nothing to publish.
    .filter(({ hostport }) => hostport > 0)
    .map(({ hostport, containerport, protocol, hostip }): PortMapping => {
      if (containerport === 0) throw new CniError(cniCodes.invalidConfig, `runtimeConfig.portMappings: hostPort ${hostport} has no containerPort`)
      return { hostPort: hostport, containerPort: containerport, protocol: parseProtocol(protocol), hostAddress: parseHostAddress(hostip) }
    })
  const limits = given?.bandwidth ?? undefined
  const ingress = limits && rateLimit('ingress', limits.ingressrate, limits.ingressburst)
  const egress = limits && rateLimit('egress', limits.egressrate, limits.egressburst)
  return { portMappings, bandwidth: ingress === undefined && egress === undefined ? undefined : { ingress, egress } }
}

function parseProtocol(protocol: string): PortMapping['protocol'] {
  const known = (['tcp', 'udp', 'sctp'] as const).find((name) => name === (protocol.toLowerCase() || 'tcp'))
  if (known === undefined) throw new CniError(cniCodes.unsupportedField, `runtimeConfig.portMappings: Expected protocol to be tcp, udp or sctp, got ${quote(protocol)}`)
  return known
}

/** The unspecified addresses mean every local one, as with the reference portmap plugin. */
function parseHostAddress(hostIp: string): Address | undefined {
  if (hostIp === '') return undefined
  const address = parseValue(parseAddress, hostIp.slice(0, 80), 'runtimeConfig.portMappings.hostIP')
  return address === '0.0.0.0' || address === '::' ? undefined : address
}

function rateLimit(direction: 'ingress' | 'egress', rateBits: number, burstBits: number): RateLimit | undefined {
  if (rateBits === 0) return undefined
  if (burstBits === 0) throw new CniError(cniCodes.invalidConfig, `runtimeConfig.bandwidth: ${direction}Rate ${rateBits} needs an ${direction}Burst`)
  return { rateBits, burstBits }
}

const attachments = z.array(z.object({ containerID: z.string(), ifname: z.string() }))

/**
 * The attachments that GC must keep.
 * @throws {CniError} invalidConfig also where the list is missing or one entry cannot be read: taken for "none", it would remove pods that live.
 */
export function parseValidAttachments(conf: NetConf): readonly ValidAttachment[] {
  const listed = parseShape(attachments, conf.fields['cni.dev/valid-attachments'] ?? conf.fields['cni.dev/attachments'], 'cni.dev/valid-attachments')
  return listed.map(({ containerID, ifname }) => ({
    containerId: containerID,
    podInterface: parseValue(parseInterfaceName, ifname, 'cni.dev/valid-attachments.ifname'),
  }))
}

function quote(value: unknown): string {
  if (value === undefined) return 'none'
  return typeof value === 'string' ? `\`${value.slice(0, 80)}\`` : `a ${typeof value}`
}
