// Converts a Pod object to a ClusterPod, and compares two. An invalid address or port is left out and reported; the
// rest of the pod is used.
import { isDeepStrictEqual } from 'node:util'
import { parseAddress } from '../net/address.ts'
import { type KubeObject, keyOf, readObject } from './kube-object.ts'
import { parseEach } from './parse-each.ts'
import type { ClusterPod, ContainerPort, PodPhase } from './pod.ts'
import type { Report } from './problem.ts'
import { asText, listOf, shown } from './raw-values.ts'
import { parsePortNumber, parseProtocol, parseServicePortName } from './service-fields.ts'

interface RawPod extends KubeObject {
  readonly spec?: {
    readonly nodeName?: string
    readonly hostNetwork?: boolean
    readonly containers?: readonly RawContainer[]
    readonly initContainers?: readonly RawContainer[]
    readonly ephemeralContainers?: readonly RawContainer[]
  }
  readonly status?: {
    readonly phase?: PodPhase
    readonly podIP?: string
    readonly podIPs?: readonly { readonly ip: string }[]
  }
}

interface RawContainer {
  readonly restartPolicy?: string
  readonly securityContext?: {
    readonly privileged?: boolean
    readonly capabilities?: { readonly add?: readonly string[] }
  }
  readonly ports?: readonly { readonly name?: string; readonly protocol?: string; readonly containerPort?: number }[]
}

/**
 * Projects a pod.
 * @throws {TypeError} when the object has no name.
 */
export function projectPod(raw: unknown, report: Report): readonly [key: string, pod: ClusterPod] {
  const pod = readObject(raw, 'Pod', report) as RawPod
  const { namespace = '', name, uid = '', labels = {}, annotations = {} } = pod.metadata
  const { phase = 'Pending', podIP } = pod.status ?? {}
  const podIps = listOf(pod.status?.podIPs, 'status.podIPs')
  const addresses = podIps.length === 0 && podIP ? [podIP] : podIps.map(({ ip }) => ip)
  const value: ClusterPod = Object.freeze({
    namespace,
    name,
    uid: annotations['kubernetes.io/config.mirror'] ?? uid,
    node: pod.spec?.nodeName === '' ? undefined : pod.spec?.nodeName,
    phase,
    hostNetwork: pod.spec?.hostNetwork ?? false,
    netAdmin: mayChangeNetwork(pod),
    addresses: parseEach(
      addresses,
      (text) => parseAddress(asText(text)),
      (text, why) => report(`Pod ${keyOf(pod)}: status.podIPs \`${shown(text)}\` is left out: ${why}`),
    ),
    labels: Object.freeze({ ...labels }),
    ports: namedPortsOf(pod, report),
  })
  return [keyOf(pod), value]
}

/** Returns false when anything that we keep differs. */
export function samePod(a: ClusterPod, b: ClusterPod): boolean {
  return isDeepStrictEqual(a, b)
}

/** Runtimes take a capability with and without its prefix, and ALL for every one. */
const networkCapabilities = new Set(['NET_ADMIN', 'CAP_NET_ADMIN', 'ALL'])

function mayChangeNetwork({ spec = {} }: RawPod): boolean {
  const containers = [
    ...listOf(spec.containers, 'spec.containers'),
    ...listOf(spec.initContainers, 'spec.initContainers'),
    ...listOf(spec.ephemeralContainers, 'spec.ephemeralContainers'),
  ]
  return containers.some(
    ({ securityContext = {} }) =>
      securityContext.privileged === true ||
      listOf(securityContext.capabilities?.add, "a container's capabilities").some((name) =>
        networkCapabilities.has(asText(name).toUpperCase()),
      ),
  )
}

// Shared by most pods, instead of an array for each.
const noPorts: readonly ContainerPort[] = Object.freeze([])

/** Returns the named ports of containers and of sidecars, which are init containers that keep running. */
function namedPortsOf(pod: RawPod, report: Report): readonly ContainerPort[] {
  const containers = listOf(pod.spec?.containers, 'spec.containers')
  const sidecars = listOf(pod.spec?.initContainers, 'spec.initContainers').filter(
    ({ restartPolicy }) => restartPolicy === 'Always',
  )
  const named = [...containers, ...sidecars]
    .flatMap(({ ports }) => listOf(ports, "a container's ports"))
    .filter(({ name }) => name)
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
