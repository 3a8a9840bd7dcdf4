// What GET /status on the agent's socket answers: written by the agent, read by `fairlead doctor` and `fairlead
// status`, which may be of another version.
import * as z from 'zod'
import { parseAddress } from '../net/address.ts'
import { parseCidr } from '../net/cidr.ts'
import { parseInterfaceName } from '../net/interface-name.ts'

const cidr = z.string().transform(parseCidr)
const address = z.string().transform(parseAddress)
const interfaceName = z.string().transform(parseInterfaceName)

export const agentStatusShape = z.object({
  node: z.string(),
  /** The API server's. */
  api: z.string(),
  podNetwork: z.boolean(),
  overlay: z.enum(['vxlan', 'direct', 'auto', 'none']),
  vxlanPort: z.number(),
  vxlanDevice: interfaceName,
  /**
   * Of what goes into the tunnel: as configured, whether the device leaves checksums to the card now, and if it does
   * not, whether that is our doing. Undefined without such a device.
   */
  checksumOffload: z
    .object({ setting: z.enum(['auto', 'keep', 'off']), on: z.boolean(), ours: z.boolean() })
    .optional(),
  bridge: interfaceName,
  cniConfDir: z.string(),
  healthAddress: z.string(),
  /** What keeps pods from being served as the cluster says; empty when ready. */
  missing: z.array(z.string()),
  /** What the log has said that is wrong with the network, and that still is. */
  problems: z.array(z.string()),
  peers: z.number(),
  /**
   * ms since the epoch: when a pass over the network last went through, and when one last had something to put right.
   */
  passedAt: z.number().optional(),
  changedAt: z.number().optional(),
  /** What was not as the agent had left it, by room, since it started. */
  repairs: z.array(z.object({ room: z.string(), count: z.number(), lastAt: z.number(), last: z.string() })).default([]),
  /** All of the cluster. */
  nodes: z.array(
    z.object({
      name: z.string(),
      uid: z.string(),
      createdAt: z.number(),
      podCidrs: z.array(cidr),
      internalAddresses: z.array(address),
    }),
  ),
  /** Those that the overlay leaves out, and why; undefined from an agent that does not say. */
  leftOut: z.array(z.object({ name: z.string(), problem: z.string() })).optional(),
  pools: z.array(z.object({ podCidr: cidr, size: z.number(), used: z.number(), resting: z.number() })),
  attachments: z.number(),
  /** What in pods' namespaces is not as it was made and stays so, and why. */
  podDrift: z
    .array(
      z.object({
        pod: z.string(),
        what: z.array(z.string()),
        reason: z.enum(['own', 'chained', 'unknown', 'refused']),
      }),
    )
    .default([]),
  watches: z.array(
    z.object({
      resource: z.string(),
      state: z.enum(['listing', 'watching', 'waiting', 'stopped']),
      objects: z.number(),
      relists: z.number(),
      reconnects: z.number(),
      /** ms since the epoch. */
      lastEventAt: z.number().optional(),
      lastError: z.string().optional(),
    }),
  ),
  /** What is programmed of Services, one for each family; empty where they are another's. */
  services: z
    .array(
      z.object({
        family: z.union([z.literal(4), z.literal(6)]),
        ports: z.number(),
        endpoints: z.number(),
        rules: z.number(),
        syncedAt: z.number().optional(),
      }),
    )
    .default([]),
  /** Undefined where policies are another's. */
  policy: z
    .object({ policies: z.number(), isolated: z.number(), held: z.number(), syncedAt: z.number().optional() })
    .optional(),
  /** The cluster IPs of all Services; empty where they are another's. */
  serviceAddresses: z.array(address),
  /** The blocks that they are from; empty where the API server has none, or did not say. */
  serviceCidrs: z.array(cidr).default([]),
  /** Empty where policies are another's. */
  idlePolicies: z.array(z.object({ policy: z.string(), problem: z.string(), remedy: z.string() })),
})

export type AgentStatus = z.output<typeof agentStatusShape>
export type AgentStatusText = z.input<typeof agentStatusShape>
