// `ip -j -N -d route show`: -N gives a protocol its number also where rt_protos has a name for it, -d prints it also
//   where it is "boot".
import * as z from 'zod'
import { type Address, addressBits, canonicalAddress, type Family, parseAddress } from '../net/address.ts'
import { type Cidr, cidrOf, parseCidr } from '../net/cidr.ts'
import type { InterfaceName } from '../net/interface-name.ts'
import { ourProtocol } from './kernel.ts'
import type { Route } from './observed.ts'
import { type Reader, readList } from './read-json.ts'
import { scopeName } from './scope-name.ts'

export const routeShape = z.object({
  dst: z.string(),
  gateway: z.string().optional(),
  via: z.object({ host: z.string() }).optional(),
  dev: z.string().optional(),
  prefsrc: z.string().optional(),
  protocol: z.coerce.number().optional(),
  flags: z.array(z.string()).default([]),
  scope: z.string().optional(),
})

/** @throws {CommandError} of kind `missing` when there is no such device. */
export async function readRoutes(
  reader: Reader,
  family: Family,
  filter: { ours?: boolean; device?: InterfaceName } = {},
): Promise<readonly Route[]> {
  const words = ['ip', '-j', '-N', '-d', `-${family}`, 'route', 'show']
  if (filter.ours === true) words.push('proto', String(ourProtocol))
  if (filter.device !== undefined) words.push('dev', filter.device)
  return readList(reader, words, routeShape, (raw) => {
    const route = routeOf(raw, family)
    // What was asked for is not printed.
    return {
      ...route,
      device: route.device ?? filter.device,
      protocol: raw.protocol ?? (filter.ours === true ? ourProtocol : 0),
    }
  })
}

export function routeOf(raw: z.infer<typeof routeShape>, family: Family): Route {
  return {
    family,
    destination: destinationOf(raw.dst, family),
    gateway: optionalAddress(raw.gateway ?? raw.via?.host),
    device: raw.dev,
    source: optionalAddress(raw.prefsrc),
    protocol: raw.protocol ?? 0,
    onlink: raw.flags.includes('onlink'),
    scope: scopeName(raw.scope),
  }
}

/**
 * Reads the blocks that the kernel takes for its own addresses, in table local: the addresses of its interfaces,
 * 127.0.0.0/8, and what `ip route add local` has added.
 * @throws {CommandError}
 */
export async function readLocalNetworks(reader: Reader, family: Family): Promise<readonly Cidr[]> {
  const words = ['ip', '-j', `-${family}`, 'route', 'show', 'table', 'local', 'type', 'local']
  return readList(reader, words, z.object({ dst: z.string() }), ({ dst }) => destinationOf(dst, family))
}

/** Host routes come without their prefix. */
function destinationOf(text: string, family: Family): Cidr {
  if (text === 'default') return parseCidr(family === 4 ? '0.0.0.0/0' : '::/0')
  return text.includes('/') ? parseCidr(text) : cidrOf(parseAddress(text), addressBits(family))
}

function optionalAddress(text: string | undefined): Address | undefined {
  return text === undefined ? undefined : canonicalAddress(text)
}
