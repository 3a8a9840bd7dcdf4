// Pod object -> ClusterPod, and when two are the same. An address that makes no sense is left out and reported; the rest of the pod still counts.
import { isDeepStrictEqual } from 'node:util'
import { parseAddress } from '../net/address.ts'
import { asKubeObject, type KubeObject, keyOf } from './kube-object.ts'
import { parseEach } from './parse-each.ts'
import type { ClusterPod, PodPhase } from './pod.ts'

interface RawPod extends KubeObject {
  readonly spec?: { readonly nodeName?: string; readonly hostNetwork?: boolean }
  readonly status?: { readonly phase?: PodPhase; readonly podIP?: string; readonly podIPs?: readonly { readonly ip: string }[] }
}

/** @throws {TypeError} when the object has no name. */
export function projectPod(raw: unknown, report: (problem: string) => void): readonly [key: string, pod: ClusterPod] {
  const pod = asKubeObject(raw) as RawPod
  const { namespace = '', name, uid = '', labels = {} } = pod.metadata
  const { phase = 'Pending', podIP, podIPs = [] } = pod.status ?? {}
  const addresses = podIPs.length === 0 && podIP ? [podIP] : podIPs.map(({ ip }) => ip)
  const value: ClusterPod = Object.freeze({
    namespace,
    name,
    uid,
    node: pod.spec?.nodeName === '' ? undefined : pod.spec?.nodeName,
    phase,
    hostNetwork: pod.spec?.hostNetwork ?? false,
    addresses: parseEach(addresses, parseAddress, (text, why) => report(`Pod ${keyOf(pod)}: status.podIPs \`${text}\` is left out: ${why}`)),
    labels: Object.freeze({ ...labels }),
  })
  return [keyOf(pod), value]
}

/** False as soon as anything that we keep differs. */
export function samePod(a: ClusterPod, b: ClusterPod): boolean {
  return isDeepStrictEqual(a, b)
}
