// Inputs that tests of the rules share: one node of a small cluster, with pods that have host ports.
import { ProtectedPorts } from '../../cluster/protected-ports.ts'
import { parseAddress } from '../../net/address.ts'
import { parseCidr } from '../../net/cidr.ts'
import { hostVethName, parseInterfaceName } from '../../net/interface-name.ts'
import { macOf } from '../../net/mac.ts'
import type { Attachment, PortMapping } from '../attachment.ts'
import type { RulesInput } from './rule-set.ts'
import type { RulesSettings } from './rules.ts'

export const dualSettings: RulesSettings = {
  localPodCidrs: [parseCidr('10.244.1.0/24'), parseCidr('fd00:244:1::/64')],
  podNetworks: [
    '10.244.0.0/24',
    '10.244.1.0/24',
    '10.244.2.0/24',
    '10.244.3.0/24',
    '10.244.5.0/24',
    'fd00:244:1::/64',
    'fd00:244:2::/64',
  ].map(parseCidr),
  nonMasqueradeCidrs: [parseCidr('10.0.0.0/16'), parseCidr('fd00:beef::/32')],
  bridge: parseInterfaceName('cni0'),
  masquerade: true,
  localhostHostPorts: true,
  needed: ProtectedPorts.none,
}

/** A pod 10.244.1.N and fd00:244:1::N with these host ports. */
export function attachmentOf(
  n: number,
  portMappings: readonly PortMapping[] = [],
  changes: Partial<Attachment> = {},
): Attachment {
  const containerId = `container${n}`
  const addresses = [parseAddress(`10.244.1.${n}`), parseAddress(`fd00:244:1::${n}`)]
  return {
    network: 'fairlead',
    containerId,
    podInterface: parseInterfaceName('eth0'),
    hostInterface: hostVethName(containerId, 'eth0'),
    netns: `/run/netns/pod${n}`,
    netnsId: undefined,
    addresses,
    podMac: macOf('pod', parseAddress(`10.244.1.${n}`)),
    mtu: 1500,
    pod: { namespace: 'default', name: `web-${n}`, uid: `uid-${n}` },
    portMappings,
    bandwidth: undefined,
    createdAt: n,
    ...changes,
  }
}

export function port(hostPort: number, changes: Partial<PortMapping> = {}): PortMapping {
  return { hostPort, containerPort: 80, protocol: 'tcp', hostAddress: undefined, ...changes }
}

/** What the golden files show. */
export const examples: Readonly<Record<string, RulesInput>> = {
  'ipv4-all': {
    ...dualSettings,
    family: 4,
    attachments: [
      attachmentOf(2),
      attachmentOf(5, [port(8080), port(53, { protocol: 'udp', containerPort: 5353 })]),
      attachmentOf(
        6,
        [
          port(9999, { protocol: 'sctp' }),
          port(443, { hostAddress: parseAddress('192.168.0.21'), containerPort: 8443 }),
        ],
        { pod: undefined },
      ),
      attachmentOf(7, [port(443, { hostAddress: parseAddress('fd00::21') })]),
    ],
  },
  'ipv6-all': {
    ...dualSettings,
    family: 6,
    attachments: [
      attachmentOf(5, [port(8080)]),
      attachmentOf(7, [port(443, { hostAddress: parseAddress('fd00::21') })]),
    ],
  },
  'ipv4-plain': {
    ...dualSettings,
    family: 4,
    nonMasqueradeCidrs: [],
    masquerade: false,
    localhostHostPorts: false,
    attachments: [],
  },
  'ipv4-never-masquerade': {
    ...dualSettings,
    family: 4,
    nonMasqueradeCidrs: [parseCidr('0.0.0.0/0')],
    attachments: [],
  },
}
