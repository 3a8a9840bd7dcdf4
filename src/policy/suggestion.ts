// The smallest NetworkPolicy that would admit a connection that no policy does: to be read, judged and applied by a
// person. Pure.
import type { Labels } from '../cluster/label-selector.ts'
import { type Address, addressBits, familyOf } from '../net/address.ts'
import type { Connection, Party, PartyPod } from './admission.ts'
import type { TunnelAddress } from './ip-blocks.ts'
import type { Direction } from './subjects.ts'

/**
 * As a manifest. Undefined where the isolated end is no pod.
 * @param node whose address the other end has, if it is one's
 */
export function admittingPolicy(
  direction: Direction,
  { source, destination, protocol, port }: Connection,
  tunnels: readonly TunnelAddress[],
  node: string | undefined,
): object | undefined {
  const [own, peer] = direction === 'ingress' ? [destination, source] : [source, destination]
  if (own.pod === undefined) return undefined
  const who = peer.pod?.name ?? node ?? peer.address.replaceAll(/[.:]+/g, '-')
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: {
      namespace: own.pod.namespace,
      name: `${direction === 'ingress' ? 'admit' : 'let-go-to'}-${who}`.slice(0, 63).replace(/[^a-z0-9]+$/, ''),
    },
    spec: {
      podSelector: selectorOf(own.pod),
      policyTypes: [direction === 'ingress' ? 'Ingress' : 'Egress'],
      [direction]: [
        {
          [direction === 'ingress' ? 'from' : 'to']: [peerOf(peer, own.pod, tunnels)],
          ports: [{ protocol: protocol.toUpperCase(), port }],
        },
      ],
    },
  }
}

function peerOf({ address, pod }: Party, own: PartyPod, tunnels: readonly TunnelAddress[]): object {
  if (pod === undefined) return { ipBlock: { cidr: blockOf(address, tunnels) } }
  const namespaceSelector = { matchLabels: { 'kubernetes.io/metadata.name': pod.namespace } }
  return { ...(pod.namespace === own.namespace ? {} : { namespaceSelector }), podSelector: selectorOf(pod) }
}

/** A node is known by its own address, also where it sends with the tunnel's. */
function blockOf(address: Address, tunnels: readonly TunnelAddress[]): string {
  const known = tunnels.find(({ tunnel }) => tunnel === address)?.own[0] ?? address
  return `${known}/${addressBits(familyOf(known))}`
}

/** Labels that one generation of pods has and the next has not. */
const passing = new Set([
  'pod-template-hash',
  'controller-revision-hash',
  'pod-template-generation',
  'batch.kubernetes.io/controller-uid',
  'controller-uid',
])

function selectorOf({ labels }: PartyPod): object {
  const lasting: Labels = Object.fromEntries(Object.entries(labels).filter(([key]) => !passing.has(key)))
  return Object.keys(lasting).length === 0 ? {} : { matchLabels: lasting }
}
