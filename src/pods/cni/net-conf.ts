// The network configuration on stdin: the conflist's plugin object with what libcni put in (CNI spec 1.1.0, section 4).
// Unknown keys are ignored, whatever they hold: other plugins' settings, `capabilities`, and the list's booleans, which
// arrive as strings at times.
import * as z from 'zod'
import { type Address, parseAddress } from '../../net/address.ts'
import { type InterfaceName, parseInterfaceName } from '../../net/interface-name.ts'
import type { Bandwidth, PortMapping, RateLimit } from '../attachment.ts'
import { CniError, cniCodes } from './cni-error.ts'
import { type CniVersion, parseCniVersion } from './cni-version.ts'
import { describeValue, parseShape, parseValue } from './parse-shape.ts'

export interface NetConf {
  readonly version: CniVersion
  readonly network: string
  /**
   * The whole object, for the keys that only some commands look at: a DEL must not fail for a field it has no use for.
   */
  readonly fields: Readonly<Record<string, unknown>>
}

export interface ValidAttachment {
  readonly containerId: string
  readonly podInterface: InterfaceName
}

/**
 * What containerID and network name may look like (reference skeleton); bounded, for both are part of a file's name.
 */
export const identifier = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/
export const maxContainerIdLength = 128
const maxNetworkLength = 64

/** @throws {CniError} decode for what is not a JSON object, incompatibleVersion, invalidConfig for a bad name. */
export function parseNetConf(stdin: Buffer): NetConf {
  const fields = decode(stdin)
  const version = parseCniVersion(fields['cniVersion'])
  const network = fields['name']
  if (typeof network !== 'string' || network.length > maxNetworkLength || !identifier.test(network)) {
    throw new CniError(
      cniCodes.invalidConfig,
      `Expected the network's name to be 1 to ${maxNetworkLength} letters, digits, dots, dashes or underscores, got ${describeValue(network)}`,
    )
  }
  return { version, network, fields }
}

function decode(stdin: Buffer): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(stdin))
  } catch (error) {
    throw new CniError(cniCodes.decode, 'the network configuration on stdin is not JSON', {
      details: String(error),
      cause: error,
    })
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new CniError(cniCodes.decode, 'the network configuration on stdin is not a JSON object')
  return value as Record<string, unknown>
}

// go-cni's structs have no JSON tags: containerd writes HostPort where the specification says hostPort. Go reads both,
// and so must we.
function anyCase<T extends z.ZodType>(schema: T) {
  return z.preprocess(
    (value) =>
      isObject(value)
        ? Object.fromEntries(Object.entries(value).map(([key, inner]) => [key.toLowerCase(), inner]))
        : value,
    schema,
  )
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

// Go writes its zero values out, as 0, "" or null: all three mean that nothing was said.
const whole = (max: number) => {
  const expected = `a whole number from 0 to ${max}`
  return z
    .int(expected)
    .min(0, expected)
    .max(max, expected)
    .nullish()
    .transform((value) => value ?? 0)
}
const port = whole(65_535)
const text = z
  .string('text')
  .nullish()
  .transform((value) => value ?? '')
/**
 * The bandwidth plugin takes 64 bits, and a runtime may send the largest for "no limit". JSON.parse rounds what is above
 * 2^53, which no link is as fast as: such a rate counts as 2^53 - 1.
 */
const rate = z.preprocess(
  (value) => (typeof value === 'number' ? Math.min(value, Number.MAX_SAFE_INTEGER) : value),
  whole(Number.MAX_SAFE_INTEGER),
)
/** tc holds a burst as bytes in 32 bits. */
const burst = whole(2 ** 35 - 1)

const maxMappings = 4096
const mapping = anyCase(z.object({ hostport: port, containerport: port, protocol: text, hostip: text }, 'an object'))
const limits = anyCase(
  z.object({ ingressrate: rate, ingressburst: burst, egressrate: rate, egressburst: burst }, 'an object'),
)
const runtimeConfig = anyCase(
  z.object(
    {
      portmappings: z
        .array(mapping.nullable(), 'a list')
        .max(maxMappings, `a list of at most ${maxMappings}`)
        .nullish(),
      bandwidth: limits.nullish(),
    },
    'an object',
  ),
).nullish()

/** The values of the capabilities that our conflist declares. @throws {CniError} invalidConfig or unsupportedField. */
export function parseRuntimeConfig(conf: Pick<NetConf, 'fields'>): {
  portMappings: readonly PortMapping[]
  bandwidth: Bandwidth | undefined
} {
  const given = parseShape(runtimeConfig, conf.fields['runtimeConfig'], 'runtimeConfig')
  const portMappings = (given?.portmappings ?? [])
    // The CRI's hostPort 0 means "not specified", and Go reads a null mapping as one of zeros: nothing to publish.
    .filter((each) => each !== null)
    .filter(({ hostport }) => hostport > 0)
    .map(({ hostport, containerport, protocol, hostip }): PortMapping => {
      if (containerport === 0)
        throw new CniError(
          cniCodes.invalidConfig,
          `runtimeConfig.portMappings: hostPort ${hostport} has no containerPort`,
        )
      return {
        hostPort: hostport,
        containerPort: containerport,
        protocol: parseProtocol(protocol),
        hostAddress: parseHostAddress(hostip),
      }
    })
  const asked = given?.bandwidth ?? undefined
  const ingress = asked && rateLimit('ingress', asked.ingressrate, asked.ingressburst)
  const egress = asked && rateLimit('egress', asked.egressrate, asked.egressburst)
  return { portMappings, bandwidth: ingress === undefined && egress === undefined ? undefined : { ingress, egress } }
}

function parseProtocol(protocol: string): PortMapping['protocol'] {
  const known = (['tcp', 'udp', 'sctp'] as const).find((name) => name === (protocol.toLowerCase() || 'tcp'))
  if (known === undefined)
    throw new CniError(
      cniCodes.unsupportedField,
      `runtimeConfig.portMappings: Expected protocol to be tcp, udp or sctp, got ${describeValue(protocol)}`,
    )
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
  if (burstBits === 0)
    throw new CniError(
      cniCodes.invalidConfig,
      `runtimeConfig.bandwidth: ${direction}Rate ${rateBits} needs an ${direction}Burst`,
    )
  return { rateBits, burstBits }
}

const attachments = z.array(
  z.object({ containerID: z.string('text'), ifname: z.string('text') }, 'an object'),
  'a list',
)

/**
 * The attachments that GC must keep.
 * @throws {CniError} invalidConfig also where the list is missing or one entry cannot be read: taken for "none", it
 * would remove pods that live.
 */
export function parseValidAttachments(conf: NetConf): readonly ValidAttachment[] {
  const listed = parseShape(
    attachments,
    conf.fields['cni.dev/valid-attachments'] ?? conf.fields['cni.dev/attachments'],
    'cni.dev/valid-attachments',
  )
  return listed.map(({ containerID, ifname }) => ({
    containerId: containerID,
    podInterface: parseValue(parseInterfaceName, ifname, 'cni.dev/valid-attachments.ifname'),
  }))
}
