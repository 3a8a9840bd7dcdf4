// What the kernel keeps for us: the alias of a host veth says whose it is, so that an attachment whose record is lost
// is still known by its container and pod.
import { hostVethName } from '../net/interface-name.ts'
import type { Attachment } from './attachment.ts'
import { parsePodIdentity } from './cni/cni-args.ts'

/** IFALIASZ less the closing zero (include/uapi/linux/if.h). */
const longestAlias = 255

/** NAMESPACE/POD/UID/NETWORK/CONTAINER, a part that is not known empty; without the pod where all would be too long. */
export function aliasOf({ pod, network, containerId }: VethOwner): string {
  const container = `${network ?? ''}/${containerId ?? ''}`
  const whole = `${pod?.namespace ?? ''}/${pod?.name ?? ''}/${pod?.uid ?? ''}/${container}`
  return whole.length <= longestAlias ? whole : `///${container}`
}

/**
 * Reads {@link aliasOf} back.
 * @param hostInterface the veth that bears it, whose name follows from the container.
 * @param podInterface its other end.
 * @returns undefined for an alias that is not the one of this veth.
 */
export function parseAlias(
  alias: string | undefined,
  { hostInterface, podInterface }: { hostInterface: string; podInterface: string },
): VethOwner | undefined {
  const [namespace = '', name = '', uid = '', network = '', containerId = '', ...rest] = alias?.split('/') ?? []
  if (rest.length > 0 || containerId === '' || hostVethName(containerId, podInterface) !== hostInterface)
    return undefined
  try {
    const pod = parsePodIdentity(`K8S_POD_NAMESPACE=${namespace};K8S_POD_NAME=${name};K8S_POD_UID=${uid}`)
    return { pod, network: network === '' ? undefined : network, containerId }
  } catch {
    return undefined
  }
}

export type VethOwner = Pick<Attachment, 'pod' | 'network' | 'containerId'>
