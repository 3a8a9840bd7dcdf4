// The bridge as it should be.
//
// A packet's walk on one node: a pod sends to its gateway's MAC or, to a pod of the same node, straight to that pod's;
// its veth's host end is a port of the bridge. What is meant for the gateway rises into the node's stack and is routed:
// to the overlay, to the uplink, or back into the bridge. What is meant for another port is bridged, and passes
// iptables on its way because bridge-nf-call-iptables is on (Services and policy need it; a Service that answers to its
// own client leaves by the port it came in: hairpin). Where the kernel has no br_netfilter, pods hold their address
// alone (/32) and know the gateway only: nothing is bridged then, all is routed, in and out by this bridge. The node
// reaches its pods over the gateway's connected route in both cases.
import type { Sysctl } from '../../kernel/settle-sysctls.ts'
import { type Address, familyOf } from '../../net/address.ts'
import { type Cidr, formatCidr } from '../../net/cidr.ts'
import type { InterfaceName } from '../../net/interface-name.ts'
import { type Mac, macOf } from '../../net/mac.ts'
import type { PodAttachment } from '../attachment-codec.ts'
import { gatewayOf } from '../ipam.ts'
import { aliasOf } from '../veth-alias.ts'

export interface BridgeSettings {
  readonly bridge: InterfaceName
  readonly mtu: number
  /** At least one; the first one's gateway gives the bridge its MAC. */
  readonly podCidrs: readonly Cidr[]
  /** Whether 127.0.0.1:HOSTPORT reaches pods: DNATed loopback packets leave by the bridge only with route_localnet. */
  readonly localhostHostPorts: boolean
}

export interface DesiredBridge {
  readonly name: InterfaceName
  readonly mac: Mac
  readonly mtu: number
  readonly gateways: readonly { readonly address: Address; readonly prefix: number }[]
  readonly ports: readonly { readonly name: InterfaceName; readonly mtu: number; readonly alias: string }[]
  /** The MAC of each pod's address, for all addresses of the node's pods. */
  readonly neighbours: ReadonlyMap<Address, Mac>
  readonly sysctls: readonly Sysctl[]
}

export const bridgeCallsIptables = 'net/bridge/bridge-nf-call-iptables'
const bridgeCallsIp6tables = 'net/bridge/bridge-nf-call-ip6tables'
const forwarding = ['net/ipv4/ip_forward', 'net/ipv6/conf/all/forwarding'] as const
/** Without these a pod reaches no one, or no Service; the others make what works work better. */
export const neededSysctls: readonly string[] = [...forwarding, bridgeCallsIptables, bridgeCallsIp6tables]

/** @throws {TypeError} without a podCIDR. */
export function desiredBridge(settings: BridgeSettings, attachments: Iterable<PodAttachment>): DesiredBridge {
  const [first] = settings.podCidrs
  if (first === undefined) throw new TypeError('Expected at least one podCIDR, got none')
  const pods = [...attachments]
  // Pods of a former podCIDR keep their gateway until the last of them goes.
  const served = new Map(
    [...settings.podCidrs, ...pods.flatMap((pod) => pod.podCidrs)].map((cidr) => [formatCidr(cidr), cidr]),
  )
  return {
    name: settings.bridge,
    mac: macOf('gateway', gatewayOf(first)),
    mtu: settings.mtu,
    gateways: Array.from(served.values(), (cidr) => ({ address: gatewayOf(cidr), prefix: cidr.prefix })),
    ports: pods.map((pod) => ({ name: pod.hostInterface, mtu: pod.mtu, alias: aliasOf(pod) })),
    neighbours: new Map(pods.flatMap((pod) => pod.addresses.map((address) => [address, pod.podMac] as const))),
    sysctls: sysctlsOf(settings, [...served.values()]),
  }
}

function sysctlsOf({ bridge, localhostHostPorts }: BridgeSettings, podCidrs: readonly Cidr[]): Sysctl[] {
  const families = new Set(podCidrs.map((cidr) => familyOf(cidr.network)))
  const ipv4 = [
    [forwarding[0], '1'],
    [bridgeCallsIptables, '1'],
    // The kernel sends redirects where either this or the device's says so; each device starts with a copy of
    // `default`, so others keep theirs. A pod that believed one would go round the node's rules.
    ['net/ipv4/conf/all/send_redirects', '0'],
    [`net/ipv4/conf/${bridge}/send_redirects`, '0'],
    // The larger of this and `all` counts: loose, since a Service's answer may come in by another way than the route
    // back says.
    [`net/ipv4/conf/${bridge}/rp_filter`, '2'],
    // A new MAC or gateway address is told to the pods at once instead of being found out half a minute later.
    [`net/ipv4/conf/${bridge}/arp_notify`, '1'],
    [`net/ipv4/conf/${bridge}/route_localnet`, localhostHostPorts ? '1' : '0'],
  ] as const
  const ipv6 = [
    [forwarding[1], '1'],
    [bridgeCallsIp6tables, '1'],
    [`net/ipv6/conf/${bridge}/ndisc_notify`, '1'],
  ] as const
  // Also without IPv6 pods: one of them could announce itself as the node's router.
  const always = [[`net/ipv6/conf/${bridge}/accept_ra`, '0']] as const
  return [...(families.has(4) ? ipv4 : []), ...(families.has(6) ? ipv6 : []), ...always].map(([key, value]) => ({
    key,
    value,
  }))
}
