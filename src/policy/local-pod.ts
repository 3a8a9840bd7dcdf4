// The pods of this node, as policies see them: those that we have wired, and those that another program had before us.
import { isDeepStrictEqual } from 'node:util'
import type { ClusterPod } from '../cluster/pod.ts'
import type { Address } from '../net/address.ts'
import type { InterfaceName } from '../net/interface-name.ts'

export interface LocalPod {
  /** "ns/name" */
  readonly key: string
  readonly namespace: string
  /** Undefined with a runtime that does not say. */
  readonly uid: string | undefined
  readonly addresses: readonly Address[]
  /**
   * What its interface calls itself on the bridge, where IPv6 is not switched off: its neighbours there could reach it
   * by that.
   */
  readonly linkLocal: Address | undefined
  /** Its wire's end on the bridge; undefined for a pod that another program has wired. */
  readonly port: InterfaceName | undefined
}

/** What the API server says of the pod; undefined while it says nothing, or only of an earlier pod of that name. */
export function objectOf(local: LocalPod, pods: ReadonlyMap<string, ClusterPod>): ClusterPod | undefined {
  const pod = pods.get(local.key)
  return pod !== undefined && (local.uid === undefined || pod.uid === '' || pod.uid === local.uid) ? pod : undefined
}

/** Whether its addresses are its own: not its node's, and not another pod's by now. */
export function ownsAddresses({ hostNetwork, phase, addresses }: ClusterPod): boolean {
  return !hostNetwork && phase !== 'Succeeded' && phase !== 'Failed' && addresses.length > 0
}

/**
 * @param wired what we know ourselves, sooner and better than the API server
 * @returns the same objects as before where nothing changed
 */
export function localPods(
  wired: Iterable<LocalPod>,
  pods: ReadonlyMap<string, ClusterPod>,
  nodeName: string,
  before: ReadonlyMap<string, LocalPod>,
): ReadonlyMap<string, LocalPod> {
  const locals = new Map<string, LocalPod>()
  const claimed = new Set<Address>()
  const add = (id: string, local: LocalPod): void => {
    const known = before.get(id)
    locals.set(id, known !== undefined && isDeepStrictEqual(known, local) ? known : local)
    for (const address of local.addresses) claimed.add(address)
  }
  for (const local of wired) add(local.addresses.join(), local)
  const names = new Set([...locals.values()].map(({ key }) => key))
  for (const [key, pod] of pods) {
    if (pod.node !== nodeName || names.has(key) || !ownsAddresses(pod)) continue
    const addresses = pod.addresses.filter((address) => !claimed.has(address))
    if (addresses.length > 0)
      add(addresses.join(), {
        key,
        namespace: pod.namespace,
        uid: pod.uid,
        addresses,
        linkLocal: undefined,
        port: undefined,
      })
  }
  return locals
}
