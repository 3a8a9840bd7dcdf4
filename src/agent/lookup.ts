// Names and addresses of the cluster, for those who ask on the agent's socket: `fairlead trace` sees the kernel itself,
// and only the agent knows who is behind an address.
import type { ClusterPod } from '../cluster/pod.ts'
import type { ClusterService } from '../cluster/service.ts'
import { type Address, canonicalAddress } from '../net/address.ts'
import { ownsAddresses } from '../policy/local-pod.ts'
import { type Direction, isolationOf } from '../policy/subjects.ts'
import type { FoundText } from './lookup-shape.ts'
import { nearNames } from './near-names.ts'
import type { Sources } from './sources.ts'

type LookupSources = Pick<Sources, 'nodes' | 'pods' | 'policy' | 'serviceProxy'>

/** @param of an address, a name, or "namespace/name" */
export function lookUp(of: string, sources: LookupSources): FoundText {
  const address = canonicalAddress(of)
  const [pods, services] = [
    [...sources.pods.snapshot.values()],
    [...(sources.serviceProxy?.services.snapshot.values() ?? [])],
  ]
  const nodes = [...sources.nodes.snapshot.values()]
  const found = {
    of,
    pods: pods
      .filter((pod) =>
        address === undefined ? isCalled(of, pod) : ownsAddresses(pod) && pod.addresses.includes(address),
      )
      .map((pod) => describePod(pod, sources)),
    services: services
      .filter((service) => (address === undefined ? isCalled(of, service) : addressesOf(service).includes(address)))
      .map(describeService),
    nodes: nodes
      .filter(({ name, internalAddresses }) =>
        address === undefined ? name === of : internalAddresses.includes(address),
      )
      .map(({ name }) => name),
    allPods: sources.policy !== undefined && sources.pods.synced,
  }
  if (address !== undefined || found.pods.length + found.services.length + found.nodes.length > 0)
    return { ...found, near: [] }
  return {
    ...found,
    near: nearNames(of, [
      ...[...pods, ...services].map(({ namespace, name }) => `${namespace}/${name}`),
      ...nodes.map(({ name }) => name),
    ]),
  }
}

function isCalled(of: string, { namespace, name }: { namespace: string; name: string }): boolean {
  return of === name || of === `${namespace}/${name}`
}

function addressesOf({ clusterIps, externalIps, loadBalancerIps }: ClusterService): Address[] {
  return [...clusterIps, ...externalIps, ...loadBalancerIps]
}

function describePod(pod: ClusterPod, { policy }: LookupSources): FoundText['pods'][number] {
  const { namespace, name, node, phase, hostNetwork, addresses, labels, ports } = pod
  const policies = [...(policy?.policies.snapshot.values() ?? [])]
    .filter((each) => each.namespace === namespace)
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
  const isolation = (direction: Direction): FoundText['pods'][number]['ingress'] => {
    const isolating = hostNetwork ? undefined : isolationOf(direction, pod, policies)
    return typeof isolating === 'object'
      ? isolating.map((each) => ({ name: each.name, rules: (each[direction] ?? []) as never }))
      : isolating
  }
  const namespaceLabels = policy?.namespaces.snapshot.get(namespace)?.labels
  return {
    namespace,
    name,
    node,
    phase,
    hostNetwork,
    addresses: [...addresses],
    labels,
    ports: [...ports],
    namespaceLabels,
    ingress: isolation('ingress'),
    egress: isolation('egress'),
  }
}

function describeService({
  namespace,
  name,
  type,
  clusterIps,
  externalIps,
  loadBalancerIps,
  ports,
}: ClusterService): FoundText['services'][number] {
  return {
    namespace,
    name,
    type,
    clusterIps: [...clusterIps],
    externalIps: [...externalIps],
    loadBalancerIps: [...loadBalancerIps],
    ports: [...ports],
  }
}
