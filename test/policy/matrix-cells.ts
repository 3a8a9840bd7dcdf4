// Who asks whom: every pod every pod, directly and through its Service; nodes and clients outside ask the pods, and
// pods ask them.
import { nthAddress, parseCidr } from '../../src/net/cidr.ts'
import type { LabNode } from '../netns/test-lab.ts'
import { type Cell, isRight, tableOfDifferences, type Verdict } from './matrix.ts'
import { ports, protocols, servicePort } from './matrix-cluster.ts'
import { allowed, type Cluster, type Flow, type Pod } from './oracle.ts'
import type { Prober, Question } from './prober.ts'

/**
 * Clients and servers beyond the cluster, two addresses of one machine: a block can hold one of them and not the other.
 */
export const outsiders: Readonly<Record<string, string>> = { outside: '192.168.0.100', elsewhere: '192.168.0.150' }

export interface Asked {
  readonly cell: Cell
  /** As the pods see it, for the oracle. */
  readonly flow: Flow
  readonly question: Omit<Question, 'expected'>
  /** The place that answers where somebody does. */
  readonly place: string
}

export interface Node {
  readonly name: string
  /** How the cluster knows it. */
  readonly address: string
  /** What its own pods see of it. */
  readonly bridge: string
  /** What other nodes' pods see of it. */
  readonly remote: string
}

interface Parties {
  readonly pods: readonly Pod[]
  readonly nodes: readonly Node[]
  /** Cluster IP of each pod's Service, by the pod's name. */
  readonly services?: ReadonlyMap<string, string>
  /** Clients and servers beyond the cluster, as {@link outsiders}. */
  readonly others?: Readonly<Record<string, string>>
}

export function nameOf({ namespace, name }: Pod): string {
  return `${namespace}/${name}`
}

/** A node of the lab: others see its VTEP's address. */
export function labNode({ name, address, podCidr }: LabNode): Node {
  const block = parseCidr(podCidr)
  return { name, address, bridge: nthAddress(block, 1), remote: block.network }
}

/** What came of every cell, beside what the oracle says. */
export async function verdictsOf(prober: Prober, cells: readonly Asked[], cluster: Cluster): Promise<Verdict[]> {
  const expected = cells.map(({ flow, place }) => (allowed(cluster, flow) ? place : undefined))
  const outcomes = await prober.ask(
    cells.map(({ question }, i) => ({ ...question, expected: expected[i] !== undefined })),
  )
  return cells.map(({ cell }, i) => ({ cell, expected: expected[i], outcome: outcomes[i] ?? 'silent' }))
}

/**
 * The cells that are wrong, as a table. A packet that got lost on a busy machine may be sent again; one that passed and
 * should not have may not.
 */
export async function differencesOf(verdicts: () => Promise<readonly Verdict[]>): Promise<string> {
  for (let triesLeft = 3; ; triesLeft--) {
    const seen = await verdicts()
    const wrong = seen.filter((verdict) => !isRight(verdict))
    if (triesLeft === 0 || wrong.length === 0 || wrong.some(({ expected }) => expected === undefined))
      return tableOfDifferences(seen)
  }
}

export function cellsOf({ pods, nodes, services = new Map(), others = outsiders }: Parties): Asked[] {
  const each = ports.flatMap((port) => protocols.map((protocol) => ({ port, protocol })))
  const asked = (
    from: string,
    to: string,
    flow: { from: string; to: string },
    more: Partial<{ source: string; place: string; service: string }> = {},
  ): Asked[] =>
    each.map(({ port, protocol }) => ({
      cell: { from, to, service: more.service !== undefined, port, protocol },
      flow: { ...flow, port, protocol },
      question: {
        from: others[from] === undefined ? from : 'outside',
        ...(more.source === undefined ? {} : { source: more.source }),
        address: more.service ?? flow.to,
        port: more.service === undefined ? port : servicePort(port),
        protocol,
      },
      place: more.place ?? to,
    }))
  return pods.flatMap((pod) => [
    ...pods.flatMap((other) => {
      const flow = { from: pod.address, to: other.address }
      const service = services.get(nameOf(other))
      return [
        ...asked(nameOf(pod), nameOf(other), flow),
        ...(service === undefined ? [] : asked(nameOf(pod), nameOf(other), flow, { service })),
      ]
    }),
    ...nodes.flatMap((node) => {
      return [
        ...asked(nameOf(pod), node.name, { from: pod.address, to: node.address }),
        ...asked(node.name, nameOf(pod), { from: node.name === pod.node ? node.bridge : node.remote, to: pod.address }),
      ]
    }),
    ...Object.entries(others).flatMap(([name, address]) => [
      ...asked(nameOf(pod), name, { from: pod.address, to: address }, { place: 'outside' }),
      ...asked(name, nameOf(pod), { from: address, to: pod.address }, { source: address }),
    ]),
  ])
}
