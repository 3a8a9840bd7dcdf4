// An attachment as text on disk, and back through the parsers of every address and name in it.
import * as z from 'zod'
import { parseAddress } from '../net/address.ts'
import { type Cidr, formatCidr, parseCidr } from '../net/cidr.ts'
import { parseInterfaceName } from '../net/interface-name.ts'
import { parseMac } from '../net/mac.ts'
import type { Attachment } from './attachment.ts'

/**
 * What the pod network knows of an attachment beyond what its hooks need: enough to repeat the answer of its ADD when
 * the node's settings are others by now.
 */
export interface PodAttachment extends Attachment {
  /** The podCIDR each address was taken from, in the order of `addresses`: its first address is that one's gateway. */
  readonly podCidrs: readonly Cidr[]
  /**
   * The pod holds its addresses alone (/32) and reaches everything through the gateway: the node has no
   * bridge-nf-call-iptables.
   */
  readonly routed: boolean
}

const address = z.string().transform(parseAddress)
const interfaceName = z.string().transform(parseInterfaceName)
const rate = z.object({ rateBits: z.number(), burstBits: z.number() })

const format = z.object({
  network: orUndefined(z.string()),
  containerId: orUndefined(z.string()),
  podInterface: interfaceName,
  hostInterface: interfaceName,
  netns: z.string(),
  netnsId: orUndefined(z.string()),
  addresses: z.array(address).min(1),
  podMac: z.string().transform(parseMac),
  mtu: z.int(),
  pod: orUndefined(z.object({ namespace: z.string(), name: z.string(), uid: orUndefined(z.string()) })),
  portMappings: z.array(
    z.object({
      hostPort: z.int(),
      containerPort: z.int(),
      protocol: z.enum(['tcp', 'udp', 'sctp']),
      hostAddress: orUndefined(address),
    }),
  ),
  bandwidth: orUndefined(z.object({ ingress: orUndefined(rate), egress: orUndefined(rate) })),
  createdAt: z.number(),
  podCidrs: z.array(z.string().transform(parseCidr)).min(1),
  routed: z.boolean(),
})

/** @throws when the text is not JSON or not an attachment, with the first reason in one line. */
export function decodeAttachment(text: string): PodAttachment {
  const parsed = format.safeParse(JSON.parse(text))
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  throw new TypeError(`${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'not an attachment'}`)
}

export function encodeAttachment(attachment: PodAttachment): string {
  // JSON drops undefined; null keeps the key, so that a missing key is a damaged file and not an absent value.
  return JSON.stringify({ ...attachment, podCidrs: attachment.podCidrs.map(formatCidr) }, (_, value: unknown) =>
    value === undefined ? null : value,
  )
}

function orUndefined<T extends z.ZodType>(schema: T) {
  return schema.nullable().transform((value) => value ?? undefined)
}
