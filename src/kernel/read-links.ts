// `ip -j -N -d addr show`: all that we want to know of links, in one dump. (`link show` before it in one batch would
//   make it lose its addresses.)
import * as z from 'zod'
import { canonicalAddress, parseAddress } from '../net/address.ts'
import { parseMac } from '../net/mac.ts'
import type { Link, VxlanSettings } from './observed.ts'
import { type Reader, readList } from './read-json.ts'
import { scopeName } from './scope-name.ts'

const vxlanShape = z.object({
  id: z.number(),
  local: z.string().optional(),
  local6: z.string().optional(),
  link: z.string().optional(),
  port: z.number(),
  learning: z.boolean(),
})

export const linkShape = z.object({
  ifindex: z.number(),
  link_index: z.number().optional(),
  link_netnsid: z.number().optional(),
  ifname: z.string(),
  flags: z.array(z.string()),
  mtu: z.number(),
  // With -N a number, as text.
  group: z.coerce.number().default(0),
  ifalias: z.string().optional(),
  master: z.string().optional(),
  address: z.string().optional(),
  linkinfo: z
    .object({
      info_kind: z.string().optional(),
      info_data: z.unknown().optional(),
      info_slave_data: z.object({ hairpin: z.boolean().optional() }).optional(),
    })
    .optional(),
  addr_info: z
    .array(z.object({ local: z.string().optional(), prefixlen: z.number().optional(), scope: z.string().optional() }))
    .default([]),
})

export async function readLinks(reader: Reader): Promise<readonly Link[]> {
  return readList(reader, ['ip', '-j', '-N', '-d', 'addr', 'show'], linkShape, linkOf)
}

export function linkOf(raw: z.infer<typeof linkShape>): Link {
  const { linkinfo } = raw
  return {
    index: raw.ifindex,
    name: raw.ifname,
    mac:
      raw.address !== undefined && /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/.test(raw.address)
        ? parseMac(raw.address)
        : undefined,
    mtu: raw.mtu,
    up: raw.flags.includes('UP'),
    carrier: raw.flags.includes('LOWER_UP'),
    group: raw.group,
    alias: raw.ifalias,
    type: linkinfo?.info_kind,
    master: raw.master,
    peer: peerOf(raw),
    hairpin: linkinfo?.info_slave_data?.hairpin,
    vxlan: linkinfo?.info_kind === 'vxlan' ? vxlanOf(linkinfo.info_data) : undefined,
    addresses: raw.addr_info.flatMap(({ local, prefixlen, scope }) =>
      local === undefined || prefixlen === undefined
        ? []
        : [{ address: parseAddress(local), prefix: prefixlen, scope: scopeName(scope) ?? 'global' }],
    ),
  }
}

/** `ip` prints a number for the peer only where it is in another namespace. */
function peerOf({ linkinfo, link_index: index, link_netnsid: namespace }: z.infer<typeof linkShape>): Link['peer'] {
  if (linkinfo?.info_kind !== 'veth' || index === undefined || namespace === undefined || namespace < 0)
    return undefined
  return { index, namespace }
}

/** Undefined for one in "external" mode, which has no VNI of its own. */
function vxlanOf(data: unknown): VxlanSettings | undefined {
  const { success, data: settings } = vxlanShape.safeParse(data)
  if (!success) return undefined
  return {
    vni: settings.id,
    port: settings.port,
    local: canonicalAddress(settings.local ?? settings.local6 ?? ''),
    device: settings.link,
    learning: settings.learning,
  }
}
