// Who asks whom: every pod every pod, directly and through its Service; nodes and clients outside ask the pods, and pods ask them.
import { nthAddress, parseCidr } from '../../src/net/cidr.ts'
import type { LabNode } from '../netns/test-lab.ts'
import type { Cell } from './matrix.ts'
import { ports, protocols, servicePort } from './matrix-cluster.ts'
import type { Flow, Pod } from './oracle.ts'
import type { Question } from './prober.ts'

/** Clients and servers beyond the cluster, two addresses of one machine: a block can hold one of them and not the other. */
export const outsiders: Readonly<Record<string, string>> = { outside: '192.168.0.100', elsewhere: '192.168.0.150' }

export interface Asked {
  readonly cell: Cell
  /** As the pods see it, for the oracle. */
  readonly flow: Flow
  readonly question: Omit<Question, 'expected'>
  /** The place that answers where somebody does. */
  readonly place: string
}

interface Parties {
  readonly pods: readonly Pod[]
  readonly nodes: readonly LabNode[]
  /** Cluster IP of each pod's Service, by the pod's name. */
  readonly services: ReadonlyMap<string, string>
}

export function nameOf({ namespace, name }: Pod): string {
  return `${namespace}/${name}`
}

/** A node's addresses: on the underlay, as a VTEP (which other nodes' pods see), and on its bridge (which its own pods see). */
export function addressesOf({ address, podCidr }: LabNode): readonly [underlay: string, vtep: string, bridge: string] {
  const block = parseCidr(podCidr)
  return [address, block.network, nthAddress(block, 1)]
}

export function cellsOf({ pods, nodes, services }: Parties): Asked[] {
  const each = ports.flatMap((port) => protocols.map((protocol) => ({ port, protocol })))
  const asked = (from: string, to: string, flow: { from: string; to: string }, more: Partial<{ source: string; place: string; service: string }> = {}): Asked[] =>
    each.map(({ port, protocol }) => ({
      cell: { from, to, service: more.service !== undefined, port, protocol },
      flow: { ...flow, port, protocol },
      question: { from: outsiders[from] === undefined ? from : 'outside', ...(more.source === undefined ? {} : { source: more.source }), address: more.service ?? flow.to, port: more.service === undefined ? port : servicePort(port), protocol },
      place: more.place ?? to,
    }))
  return pods.flatMap((pod) => [
    ...pods.flatMap((other) => {
      const flow = { from: pod.address, to: other.address }
      const service = services.get(nameOf(other))
      return [...asked(nameOf(pod), nameOf(other), flow), ...(service === undefined ? [] : asked(nameOf(pod), nameOf(other), flow, { service }))]
    }),
    ...nodes.flatMap((node) => {
      const [underlay, vtep, bridge] = addressesOf(node)
      return [...asked(nameOf(pod), node.name, { from: pod.address, to: underlay }), ...asked(node.name, nameOf(pod), { from: node.name === pod.node ? bridge : vtep, to: pod.address })]
    }),
    ...Object.entries(outsiders).flatMap(([name, address]) => [
      ...asked(nameOf(pod), name, { from: pod.address, to: address }, { place: 'outside' }),
      ...asked(name, nameOf(pod), { from: address, to: pod.address }, { source: address }),
    ]),
  ])
}
