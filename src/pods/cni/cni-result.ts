// The result of an ADD, and its text in each version of the specification (section "Success").
import * as z from 'zod'
import { type Address, familyOf, parseAddress } from '../../net/address.ts'
import { type Cidr, cidrOf, formatCidr, parseInterfaceAddress } from '../../net/cidr.ts'
import { type Mac, parseMac } from '../../net/mac.ts'
import { atLeast, type CniVersion } from './cni-version.ts'
import { parseShape, parseValue } from './parse-shape.ts'

export interface CniResult {
  readonly interfaces: readonly ResultInterface[]
  readonly ips: readonly ResultIp[]
  readonly routes: readonly ResultRoute[]
}

interface ResultInterface {
  /** Any name that the kernel takes: a previous result may hold what another plugin made. */
  readonly name: string
  readonly mac: Mac | undefined
  readonly mtu: number | undefined
  /** The pod's namespace; undefined for an interface of the host. */
  readonly sandbox: string | undefined
}

interface ResultIp {
  readonly address: Address
  readonly prefix: number
  readonly gateway: Address | undefined
  /** Index into interfaces. containerd wants at least one address on the interface it asked for. */
  readonly interface: number | undefined
}

export interface ResultRoute {
  readonly destination: Cidr
  readonly gateway: Address | undefined
  readonly mtu: number | undefined
}

/** One line of JSON. Up to 0.4.0 an address says its family; what came with 1.1.0 (mtu) is left out before. */
export function renderResult(result: CniResult, version: CniVersion): string {
  const mtuOf = ({ mtu }: { mtu: number | undefined }): number | undefined =>
    atLeast(version, '1.1.0') ? mtu : undefined
  // JSON.stringify leaves out what is undefined.
  const document = {
    cniVersion: version,
    interfaces: result.interfaces.map((link) => ({
      name: link.name,
      mac: link.mac,
      mtu: mtuOf(link),
      sandbox: link.sandbox,
    })),
    ips: result.ips.map((ip) => ({
      version: atLeast(version, '1.0.0') ? undefined : String(familyOf(ip.address)),
      address: `${ip.address}/${ip.prefix}`,
      gateway: ip.gateway,
      interface: ip.interface,
    })),
    routes: result.routes.map((route) => ({
      dst: formatCidr(route.destination),
      gw: route.gateway,
      mtu: mtuOf(route),
    })),
    dns: {},
  }
  return `${JSON.stringify(document)}\n`
}

// Go leaves fields out, or writes "" or null for them; all mean absent.
const absent = z
  .string('text')
  .nullish()
  .transform((value) => (value === '' || value === null ? undefined : value))
const natural = 'a whole number, 0 or more'
const count = z
  .int(natural)
  .min(0, natural)
  .nullish()
  .transform((value) => value ?? undefined)
const listOf = <T extends z.ZodRawShape>(item: T) =>
  z
    .array(z.object(item, 'an object'), 'a list')
    .nullish()
    .transform((list) => list ?? [])

const shape = z.object(
  {
    interfaces: listOf({ name: z.string('text'), mac: absent, mtu: count, sandbox: absent }),
    ips: listOf({ address: z.string('text'), gateway: absent, interface: count }),
    routes: listOf({ dst: z.string('text'), gw: absent, mtu: count }),
  },
  'an object',
)

/** @param json a result as prevResult holds it, of any version we speak. @throws {CniError} invalidConfig */
export function parseResult(json: unknown): CniResult {
  const { interfaces, ips, routes } = parseShape(shape, json, 'prevResult')
  return {
    interfaces: interfaces.map(({ name, mac, mtu, sandbox }) => ({
      name,
      mac: optional(parseMac, mac, 'interfaces.mac'),
      mtu,
      sandbox,
    })),
    ips: ips.map((ip) => ({
      ...parseValue(parseInterfaceAddress, ip.address, 'prevResult.ips.address'),
      gateway: optional(parseAddress, ip.gateway, 'ips.gateway'),
      interface: ip.interface,
    })),
    routes: routes.map(({ dst, gw, mtu }) => ({
      destination: parseValue(parseDestination, dst, 'prevResult.routes.dst'),
      gateway: optional(parseAddress, gw, 'routes.gw'),
      mtu,
    })),
  }
}

function optional<T>(parse: (text: string) => T, text: string | undefined, where: string): T | undefined {
  return text === undefined ? undefined : parseValue(parse, text, `prevResult.${where}`)
}

/** Other plugins may leave host bits set; the kernel's route has none. */
function parseDestination(text: string): Cidr {
  const { address, prefix } = parseInterfaceAddress(text)
  return cidrOf(address, prefix)
}
