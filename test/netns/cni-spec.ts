// What the CNI specification says an answer looks like, version by version, written from its text (sections "Success",
// "Error" and "VERSION") and not from our code. Keys that a version does not have are mistakes.
import * as z from 'zod'

export const specVersions = ['0.3.1', '0.4.0', '1.0.0', '1.1.0'] as const
export type SpecVersion = (typeof specVersions)[number]

const ipv4 = z.ipv4()
const ipv6 = z.ipv6()
const ip = z.union([ipv4, ipv6])
const cidr = z.union([z.cidrv4(), z.cidrv6()])
const mac = z.string().regex(/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/)
const index = z.int().min(0)

const dns = z.strictObject({
  nameservers: z.array(ip).optional(),
  domain: z.string().optional(),
  search: z.array(z.string()).optional(),
  options: z.array(z.string()).optional(),
})
const link = { name: z.string().min(1), mac: mac.optional(), sandbox: z.string().optional() }
const address = { address: cidr, gateway: ip.optional(), interface: index.optional() }
const route = { dst: cidr, gw: ip.optional() }

/** Up to 0.4.0 an address says its family. */
const oldAddress = z.discriminatedUnion('version', [
  z.strictObject({ ...address, version: z.literal('4'), address: z.cidrv4(), gateway: ipv4.optional() }),
  z.strictObject({ ...address, version: z.literal('6'), address: z.cidrv6(), gateway: ipv6.optional() }),
])

function resultOf<const V extends SpecVersion>(
  version: V,
  parts: { interface: z.ZodType; ip: z.ZodType; route: z.ZodType },
) {
  return z
    .strictObject({
      cniVersion: z.literal(version),
      interfaces: z.array(parts.interface).min(1),
      ips: z.array(parts.ip).min(1),
      routes: z.array(parts.route).optional(),
      dns: dns.optional(),
    })
    .superRefine((result, context) => {
      const { interfaces, ips } = result as {
        interfaces: { name: string; sandbox?: string }[]
        ips: { interface?: number }[]
      }
      // "index into the interfaces list", of an interface in the container; and what a runtime wants: an address on the
      // one it asked for.
      for (const each of ips)
        if (each.interface !== undefined && !interfaces[each.interface]?.sandbox)
          context.addIssue({
            code: 'custom',
            message: `ips[].interface ${each.interface} is no interface of the container`,
          })
      if (!ips.some((each) => interfaces[each.interface ?? -1]?.name === 'eth0'))
        context.addIssue({ code: 'custom', message: 'eth0 has no address' })
    })
}

const old = { interface: z.strictObject(link), ip: oldAddress, route: z.strictObject(route) }

export const resultSchemas: Readonly<Record<SpecVersion, z.ZodType>> = {
  '0.3.1': resultOf('0.3.1', old),
  '0.4.0': resultOf('0.4.0', old),
  '1.0.0': resultOf('1.0.0', { ...old, ip: z.strictObject(address) }),
  '1.1.0': resultOf('1.1.0', {
    interface: z.strictObject({
      ...link,
      mtu: index.optional(),
      socketPath: z.string().optional(),
      pciID: z.string().optional(),
    }),
    ip: z.strictObject(address),
    route: z.strictObject({
      ...route,
      mtu: index.optional(),
      advmss: index.optional(),
      priority: index.optional(),
      table: index.optional(),
      scope: z.int().min(0).max(255).optional(),
    }),
  }),
}

/** Codes 0 to 99 are the specification's: 1 to 8, 11, 50 and 51 have a meaning. */
export const errorSchema = z.strictObject({
  cniVersion: z.enum(specVersions),
  code: z.union([z.int().min(100), z.literal([1, 2, 3, 4, 5, 6, 7, 8, 11, 50, 51])]),
  msg: z.string().min(1),
  details: z.string().optional(),
})

export const versionSchema = z.strictObject({
  cniVersion: z.enum(specVersions),
  supportedVersions: z.array(z.string()).min(1),
})
