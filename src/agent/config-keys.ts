// Every option of the agent, once: its type, default and meaning. The file, the flags and the FAIRLEAD_* variables all
// come from this table.
import { isIPv4, isIPv6 } from 'node:net'
import * as z from 'zod'
import { parseCidr } from '../net/cidr.ts'
import { parseInterfaceName } from '../net/interface-name.ts'

const interfaceName = z
  .string()
  .transform(orIssue(parseInterfaceName, 'an interface name of 1 to 15 letters, digits, dots, dashes or underscores'))
const cidr = z.string().transform(orIssue(parseCidr, 'a CIDR without host bits, such as 10.0.0.0/8'))
const boolean = z.union([z.boolean(), z.enum(['true', 'false']).transform((text) => text === 'true')], {
  error: 'true or false',
})
const integer = (min: number, max: number) =>
  z.preprocess(
    (value) => (typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value),
    z
      .int(`a whole number from ${min} to ${max}`)
      .min(min, `a whole number from ${min} to ${max}`)
      .max(max, `a whole number from ${min} to ${max}`),
  )
const list = <T extends z.ZodType>(item: T) =>
  z.preprocess((value) => (typeof value === 'string' ? value.split(',').filter(Boolean) : value), z.array(item))
const path = z.string().startsWith('/', 'an absolute path')
const listen = z
  .string('ADDRESS:PORT')
  .transform(orIssue(listenAddress, 'ADDRESS:PORT with a port up to 65535, such as 127.0.0.1:10249 or [::1]:10249'))

/**
 * `schema` says what is accepted, from YAML as well as from text; `help` is what --help and the ConfigMap show. `live`
 * stands where a running agent can follow a change: what is not in it waits for the next start.
 */
export const configKeys = {
  nodeName: {
    schema: z.string().min(1).optional(),
    help: 'name of this node as the API server knows it (default: the host name)',
  },
  kubeconfig: { schema: path.optional(), help: 'kubeconfig file (default: the service account of the pod)' },
  apiServer: {
    schema: z.url({ protocol: /^https?$/, error: 'a URL such as https://192.168.0.10:6443' }).optional(),
    help: 'address of the API server, in place of the one in the kubeconfig or of those that the node knows',
  },
  podNetwork: {
    schema: boolean.default(true),
    help: "give pods their network (false: it is another CNI plugin's, and what this agent has made is removed with its last pod)",
  },
  overlay: {
    live: true,
    schema: z.enum(['vxlan', 'direct', 'auto', 'none'], 'vxlan, direct, auto or none').default('vxlan'),
    help: "how pods of other nodes are reached: vxlan, direct (routes; all nodes on one link), auto (per peer) or none (by others' routes, such as a cloud's)",
  },
  vni: {
    live: true,
    schema: integer(1, 16_777_215).default(1),
    help: 'VXLAN network identifier, the same on all nodes',
  },
  vxlanPort: {
    live: true,
    schema: integer(1, 65_535).default(8472),
    help: 'UDP port of the VXLAN, the same on all nodes',
  },
  vxlanDevice: { live: true, schema: interfaceName.prefault('fairlead.1'), help: 'name of the VXLAN device' },
  checksumOffload: {
    live: true,
    schema: z.enum(['keep', 'off', 'auto'], 'keep, off or auto').default('keep'),
    help: 'checksums of what goes into the tunnel: keep (left to the network card), off (computed before it, at a fifth of the throughput) or auto (off where exchanges with other nodes show that the card miscalculates them)',
  },
  mtu: {
    live: true,
    schema: z
      .union([z.literal('auto'), integer(576, 65_535)], { error: 'auto or a whole number from 576 to 65535' })
      .default('auto'),
    help: "MTU of pods (auto: the underlay's, less the tunnel's header)",
  },
  bridge: { schema: interfaceName.prefault('cni0'), help: 'name of the bridge that joins the pods of this node' },
  takeOver: {
    live: true,
    schema: boolean.default(false),
    help: "use a bridge of that name that another program made, and replace other programs' CNI configuration",
  },
  clearNetworkUnavailable: {
    live: true,
    schema: boolean.default(false),
    help: "clear the condition NetworkUnavailable that a cloud's controller has set on this node, once pods can be served (needs deploy/network-unavailable)",
  },
  masquerade: {
    live: true,
    schema: boolean.default(true),
    help: "give traffic from pods to outside the pod networks the node's address",
  },
  nonMasqueradeCIDRs: {
    live: true,
    schema: list(cidr).prefault([]),
    help: 'destinations outside the pod networks that see the address of the pod itself',
  },
  localhostHostPorts: {
    live: true,
    schema: boolean.default(true),
    help: "make hostPorts answer on the node's 127.0.0.1 too",
  },
  serviceProxy: {
    schema: boolean.default(true),
    help: 'program Services, in place of kube-proxy (false: what this agent has programmed goes, see handOver)',
  },
  handOver: {
    schema: boolean.default(true),
    help: 'with serviceProxy false, go on with the Services of an earlier run until a kube-proxy has taken them over (false: they are removed at once)',
  },
  kubeProxyConfig: {
    schema: path.optional(),
    help: 'KubeProxyConfiguration (v1alpha1) to take over: what it says holds unless it is said here too',
  },
  layout: {
    live: true,
    schema: z.enum(['tree', 'flat'], 'tree or flat').default('tree'),
    help: 'how rules of many Services are laid out: tree (found in a few steps) or flat (as kube-proxy does)',
  },
  treeFrom: {
    live: true,
    schema: integer(0, 1_000_000).default(64),
    help: 'with layout tree: so many addresses and ports of Services are still laid out as kube-proxy does',
  },
  clusterCIDR: {
    live: true,
    schema: list(cidr).prefault([]),
    help: 'blocks that all pods of the cluster are in, one a family: for detectLocal',
  },
  detectLocal: {
    live: true,
    schema: z
      .enum(['auto', 'clusterCIDR', 'nodeCIDR', 'bridge'], 'auto, clusterCIDR, nodeCIDR or bridge')
      .default('auto'),
    help: "how a pod's traffic to Services is told from others': by its address in clusterCIDR or in the podCIDR of this node, or by the bridge it comes from (auto: clusterCIDR where given, else nodeCIDR)",
  },
  detectLocalPrefix: {
    live: true,
    schema: interfaceName.optional(),
    help: 'take what comes from interfaces with this prefix for traffic of pods, in place of detectLocal',
  },
  refuseUnassigned: {
    schema: boolean.default(false),
    help: 'refuse what is sent to an address of the ServiceCIDRs that no Service has, or to a port that its Service has not (false: as kube-proxy does, it leaves by the default route)',
  },
  masqueradeAll: {
    live: true,
    schema: boolean.default(false),
    help: "give every connection to a Service's cluster IP the node's address",
  },
  masqueradeBit: {
    live: true,
    schema: integer(0, 31)
      .refine((bit) => bit !== 13, 'another bit than 13, which marks host ports')
      .default(14),
    help: "bit of the packet mark that asks for the node's address",
  },
  nodePortAddresses: {
    live: true,
    schema: z
      .union([z.enum(['all', 'primary']), list(cidr)], { error: 'all, primary or CIDRs without host bits' })
      .default('all'),
    help: 'node ports answer on all addresses of the node, on its primary ones, or on those in these blocks',
  },
  localhostNodePorts: { live: true, schema: boolean.default(true), help: 'node ports answer on 127.0.0.1 too' },
  protectNodeTraffic: {
    live: true,
    schema: boolean.default(true),
    help: 'give no Service and no host port what nodes need themselves: the API server, the VXLAN port, and the ports of agents and kubelets (false: whoever claims it gets it, as with kube-proxy)',
  },
  networkPolicy: {
    schema: boolean.default(true),
    help: 'enforce NetworkPolicies (false: what this agent has programmed is removed)',
  },
  policyOpenConnections: {
    live: true,
    schema: z.enum(['judge', 'keep'], 'judge or keep').default('judge'),
    help: 'what a policy means for connections that are open when it comes to forbid them: judge (they end) or keep (they go on)',
  },
  policyStartSeconds: {
    live: true,
    schema: integer(0, 50).default(5),
    help: 'how long a pod in a namespace with policies may wait at its start until its labels are known; then it starts, and is denied everything until they are',
  },
  policyLogGroup: {
    live: true,
    schema: integer(0, 65_535).optional(),
    help: 'nflog group that a sample of denied packets goes to (default: none)',
  },
  policyLogRate: {
    live: true,
    schema: integer(1, 1000).default(10),
    help: 'denied packets logged in a second, for each set of policies that pods share',
  },
  cniConfDir: { schema: path.default('/etc/cni/net.d'), help: 'where the runtime looks for CNI configuration' },
  stateDir: {
    schema: path.default('/run/fairlead'),
    help: 'socket, attachments and lock; has to be gone after a reboot',
  },
  healthAddress: {
    schema: listen.prefault('0.0.0.0:10256'),
    help: 'ADDRESS:PORT of /healthz, /livez and /readyz (0.0.0.0: every address of the node, IPv6 too)',
  },
  metricsAddress: { schema: listen.prefault('127.0.0.1:10249'), help: 'ADDRESS:PORT of /metrics' },
  resyncSeconds: {
    schema: integer(1, 3600).default(15),
    help: 'how often the kernel is compared with what it should hold, besides on every event (above 250 nodes less often, in proportion)',
  },
  logLevel: {
    live: true,
    schema: z
      .enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace'], 'fatal, error, warn, info, debug or trace')
      .default('info'),
    help: 'least severe messages to log; debug shows every command',
  },
} as const

export type ConfigKey = keyof typeof configKeys

/** An IPv6 address in brackets, an IPv4 address, or none for all; the text as it is. */
function listenAddress(text: string): string {
  const [, six, four, port] = /^(?:\[([^\]]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(text) ?? []
  if (port === undefined || Number(port) > 65_535) throw new TypeError('Expected ADDRESS:PORT')
  if (six !== undefined && !isIPv6(six)) throw new TypeError('Expected an IPv6 address')
  if (four && !isIPv4(four)) throw new TypeError('Expected an IPv4 address')
  return text
}

function orIssue<T>(parse: (text: string) => T, expected: string) {
  return (text: string, context: z.RefinementCtx): T => {
    try {
      return parse(text)
    } catch {
      context.addIssue({ code: 'custom', message: expected })
      return z.NEVER
    }
  }
}
