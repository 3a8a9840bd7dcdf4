// For tests: an attachment as ADD leaves it, on a node with the podCIDR 10.244.1.0/24.
import { parseAddress } from '../net/address.ts'
import { parseCidr } from '../net/cidr.ts'
import { hostVethName, parseInterfaceName } from '../net/interface-name.ts'
import { macOf } from '../net/mac.ts'
import type { PodAttachment } from './attachment-codec.ts'

export function scratchAttachment(containerId: string): PodAttachment {
  const address = parseAddress('10.244.1.5')
  return {
    network: 'fairlead',
    containerId,
    podInterface: parseInterfaceName('eth0'),
    hostInterface: hostVethName(containerId, 'eth0'),
    netns: `/run/netns/${containerId}`,
    netnsId: undefined,
    addresses: [address],
    podMac: macOf('pod', address),
    mtu: 1450,
    pod: undefined,
    portMappings: [],
    bandwidth: undefined,
    createdAt: 0,
    podCidrs: [parseCidr('10.244.1.0/24')],
    routed: false,
  }
}
