// What is made inside the pod's namespace: by ADD, and again where it has drifted.
import type { Change } from '../../kernel/change.ts'
import { replaceAddress, setUp } from '../../kernel/link-changes.ts'
import { addPodDefaultRoute, addPodGatewayRoute } from '../../kernel/route-changes.ts'
import { parseInterfaceName } from '../../net/interface-name.ts'
import type { PodAttachment } from '../attachment-codec.ts'
import { gatewayOf } from '../ipam.ts'
import { podAddresses } from '../result.ts'

export const loopback = parseInterfaceName('lo')

/** lo is the runtime's affair, but a pod without it is of no use and one line costs nothing. */
export function podSideChanges(attachment: PodAttachment): Change[] {
  const { podInterface, podCidrs, routed } = attachment
  const changes = [setUp(loopback)]
  for (const { address, prefix } of podAddresses(attachment))
    changes.push(replaceAddress(podInterface, address, prefix))
  changes.push(setUp(podInterface))
  for (const podCidr of podCidrs) {
    const gateway = gatewayOf(podCidr)
    if (routed) changes.push(addPodGatewayRoute(gateway, podInterface))
    changes.push(addPodDefaultRoute(podCidr.family, gateway, podInterface))
  }
  return changes
}
