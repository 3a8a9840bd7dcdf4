// Which attachment a CNI command is about, and which pod an attachment is of.
import type { ClusterPod } from '../cluster/pod.ts'
import type { Address } from '../net/address.ts'
import { hostVethName, type InterfaceName } from '../net/interface-name.ts'
import type { PodAttachment } from './attachment-codec.ts'

interface Named {
  readonly network: string
  readonly containerId: string
  readonly podInterface: InterfaceName
}

/** By its host interface, which follows from the container: so also one that was rebuilt without its container's id. */
export function attachmentOf(
  { attachments }: { readonly attachments: ReadonlyMap<InterfaceName, PodAttachment> },
  of: Omit<Named, 'network'>,
): PodAttachment | undefined {
  return attachments.get(hostVethName(of.containerId, of.podInterface))
}

/** One that does not know its network counts as of every network. */
export function isOfNetwork({ network }: PodAttachment, of: Pick<Named, 'network'>): boolean {
  return network === undefined || network === of.network
}

/**
 * Names the pods of attachments that were rebuilt without: by their addresses, which no two pods of a node have.
 * @param podsHere pods of this node with addresses of their own, as the API server has them.
 * @returns those that could be named
 */
export function named(nameless: readonly PodAttachment[], podsHere: Iterable<ClusterPod>): PodAttachment[] {
  const owners = new Map<Address, ClusterPod>()
  for (const pod of podsHere) for (const address of pod.addresses) owners.set(address, pod)
  return nameless.flatMap((attachment) => {
    const pod = attachment.addresses.map((address) => owners.get(address)).find((owner) => owner !== undefined)
    if (pod === undefined) return []
    const { namespace, name, uid } = pod
    return [{ ...attachment, pod: { namespace, name, uid: uid === '' ? undefined : uid } }]
  })
}
