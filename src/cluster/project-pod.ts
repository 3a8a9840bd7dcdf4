// Pod object -> ClusterPod, and when two are the same. An address that makes no sense is left out and reported; the
// rest of the pod still counts.
import { isDeepStrictEqual } from 'node:util'
import { parseAddress } from '../net/address.ts'
import { asKubeObject, type KubeObject, keyOf } from './kube-object.ts'
import { parseEach } from './parse-each.ts'
import type { ClusterPod, ContainerPort, PodPhase } from './pod.ts'
import { parsePortNumber, parseProtocol, parseServicePortName, shown } from './service-fields.ts'

interface RawPod extends KubeObject {
  readonly spec?: {
    readonly nodeName?: string
    readonly hostNetwork?: boolean
    readonly containers?: readonly RawContainer[]
    readonly initContainers?: readonly RawContainer[]
  }
  readonly status?: {
    readonly phase?: PodPhase
    readonly podIP?: string
    readonly podIPs?: readonly { readonly ip: string }[]
  }
}

interface RawContainer {
  readonly restartPolicy?: string
  readonly ports?: readonly { readonly name?: string; readonly protocol?: string; readonly containerPort?: number }[]
}

/** @throws {TypeError} when the object has no name. */
export function projectPod(raw: unknown, report: (problem: string) => void): readonly [key: string, pod: ClusterPod] {
  const pod = asKubeObject(raw) as RawPod
  const { namespace = '', name, uid = '', labels = {}, annotations = {} } = pod.metadata
  const { phase = 'Pending', podIP, podIPs = [] } = pod.status ?? {}
  const addresses = podIPs.length === 0 && podIP ? [podIP] : podIPs.map(({ ip }) => ip)
  const value: ClusterPod = Object.freeze({
    namespace,
    name,
    uid: annotations['kubernetes.io/config.mirror'] ?? uid,
    node: pod.spec?.nodeName === '' ? undefined : pod.spec?.nodeName,
    phase,
    hostNetwork: pod.spec?.hostNetwork ?? false,
    addresses: parseEach(addresses, parseAddress, (text, why) =>
      report(`Pod ${keyOf(pod)}: status.podIPs \`${text}\` is left out: ${why}`),
    ),
    labels: Object.freeze({ ...labels }),
    ports: namedPortsOf(pod, report),
  })
  return [keyOf(pod), value]
}

/** False as soon as anything that we keep differs. */
export function samePod(a: ClusterPod, b: ClusterPod): boolean {
  return isDeepStrictEqual(a, b)
}

// Of most pods: not one array each.
const noPorts: readonly ContainerPort[] = Object.freeze([])

/** Those of sidecars too, which are init containers that keep running. */
function namedPortsOf(pod: RawPod, report: (problem: string) => void): readonly ContainerPort[] {
  const { containers = [], initContainers = [] } = pod.spec ?? {}
  const running = [...containers, ...initContainers.filter(({ restartPolicy }) => restartPolicy === 'Always')]
  const named = running.flatMap(({ ports }) => ports ?? []).filter(({ name }) => name)
  if (named.length === 0) return noPorts
  const parse = ({ name, protocol, containerPort }: (typeof named)[number]): ContainerPort =>
    Object.freeze({
      name: parseServicePortName(name),
      protocol: parseProtocol(protocol),
      port: parsePortNumber(containerPort),
    })
  return parseEach(named, parse, ({ name }, why) =>
    report(`Pod ${keyOf(pod)}: container port \`${shown(name)}\` is left out: ${why}`),
  )
}
