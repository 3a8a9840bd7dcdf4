// What `fairlead trace` says of policies: read off the kernel's own table (verdictOf), and off the policies
// (admissionOf). Both beside the oracle, for connections of every kind, with the tables that the agent writes in a real
// kernel.
import { expect, test } from 'vitest'
import type { ClusterNetworkPolicy } from '../../src/cluster/network-policy.ts'
import type { Protocol } from '../../src/cluster/service.ts'
import { parseAddress } from '../../src/net/address.ts'
import { admissionOf, type Party } from '../../src/policy/admission.ts'
import { tunnelAddresses } from '../../src/policy/ip-blocks.ts'
import { Policies } from '../../src/policy/policies.ts'
import { ScratchCluster } from '../../src/policy/scratch-cluster.ts'
import { type Direction, isolationOf } from '../../src/policy/subjects.ts'
import { policyTable } from '../../src/policy/table.ts'
import { verdictOf } from '../../src/policy/verdict.ts'
import { Random } from '../netns/random.ts'
import { describeKernel, scratchNamespace, testLog } from '../netns/scratch.ts'
import { isolationCases } from './cases/isolation-cases.ts'
import { peerCases } from './cases/peer-cases.ts'
import { portCases } from './cases/port-cases.ts'
import type { PolicyCase } from './cases/policy-case.ts'
import { outsiders } from './matrix-cells.ts'
import { namespaces, pods as unplaced, ports, protocols } from './matrix-cluster.ts'
import type { NetworkPolicy } from './network-policy.ts'
import { allowed, type Flow, type Pod } from './oracle.ts'
import { randomPolicies } from './random-policies.ts'

/** All on one node, whose table then judges both ends of everything. */
const pods: readonly Pod[] = unplaced.map((pod, i) => ({ ...pod, node: 'node1', address: `172.30.0.${i + 2}` }))
const nodes = {
  node1: ['192.168.0.21', '172.30.0.0', '172.30.0.1'],
  node2: ['192.168.0.22', '172.30.1.0', '172.30.1.1'],
}
const tunnels = tunnelAddresses(clusterWith([]).snapshots.nodes.values())
const peers = [...pods.map(({ address }) => address), ...Object.values(outsiders), '172.30.1.0', '172.30.1.77']
const everyFlow: readonly Flow[] = pods.flatMap(({ address }) =>
  peers.flatMap((peer) =>
    ports.flatMap((port) =>
      protocols.flatMap((protocol) => [
        { from: address, to: peer, port, protocol },
        { from: peer, to: address, port, protocol },
      ]),
    ),
  ),
)

function clusterWith(policies: readonly NetworkPolicy[]): ScratchCluster {
  const cluster = new ScratchCluster()
    .node('node1', '192.168.0.21', '172.30.0.0/24')
    .node('node2', '192.168.0.22', '172.30.1.0/24')
  for (const [name, labels] of Object.entries(namespaces))
    cluster.namespace(name, textOf({ ...labels, 'kubernetes.io/metadata.name': name }))
  for (const { namespace, name, labels, address, node, ports } of pods)
    cluster.pod(`${namespace}/${name}`, { address, labels: textOf(labels), node, ports })
  for (const { namespace, name, spec } of policies) cluster.policy(`${namespace}/${name}`, spec)
  return cluster
}

function textOf(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map((pair) => pair.join('='))
    .join(',')
}

/** The policy that admits it by what the policies say; "" where none does, undefined where none isolates the pod. */
function admitting(policies: readonly ClusterNetworkPolicy[], direction: Direction, flow: Flow): string | undefined {
  const subject = pods.find(({ address }) => address === (direction === 'ingress' ? flow.to : flow.from))
  if (subject === undefined || flow.from === flow.to) return undefined
  const isolation = isolationOf(
    direction,
    subject,
    policies.filter(({ namespace }) => namespace === subject.namespace),
  )
  if (typeof isolation !== 'object') return undefined
  const connection = {
    source: partyAt(flow.from),
    destination: partyAt(flow.to),
    protocol: flow.protocol.toLowerCase() as Protocol,
    port: flow.port,
  }
  const isolating = isolation.map((policy) => ({ name: policy.name, rules: policy[direction] ?? [] }))
  return admissionOf(direction, subject.namespace, isolating, connection, tunnels)?.policy ?? ''
}

function partyAt(text: string): Party {
  const pod = pods.find(({ address }) => address === text)
  const own = pod && {
    ...pod,
    namespaceLabels: { ...namespaces[pod.namespace], 'kubernetes.io/metadata.name': pod.namespace },
    ports: pod.ports.map(({ name, protocol, containerPort }) => ({
      name,
      protocol: protocol.toLowerCase() as Protocol,
      port: containerPort,
    })),
  }
  return { address: parseAddress(text), pod: own }
}

describeKernel('what is said of policies', () => {
  const random = new Random()
  const cases: readonly PolicyCase[] = [...isolationCases, ...peerCases, ...portCases]
  const sets = [
    ...cases.map(([, ...policies]) => policies),
    ...Array.from({ length: 20 }, () => randomPolicies(random)),
  ]

  test(`${sets.length} sets of policies (TEST_SEED=${random.seed}): the table as the kernel lists it, the policies and the oracle agree on who may connect, and on which policy admits it`, async () => {
    await using node = await scratchNamespace()
    const written = new Policies({ kernel: node.kernel, log: testLog })
    written.configure({ nodeName: 'node1', families: [4], judgeOpenConnections: true, log: undefined })
    for (const policies of sets) {
      const cluster = clusterWith(policies)
      await written.sync(cluster.snapshots, [])
      const projected = [...cluster.snapshots.policies.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1))
      const objects = (await node.kernel.listNft(`table ${policyTable}`)) ?? []
      const oracle = {
        namespaces: Object.fromEntries(
          Object.entries(namespaces).map(([name, labels]) => [
            name,
            { ...labels, 'kubernetes.io/metadata.name': name },
          ]),
        ),
        pods,
        nodes: { node2: nodes.node2 },
        policies,
      }
      const wrong = everyFlow
        .filter(() => random.chance(0.3))
        .flatMap((flow) => {
          const verdict = verdictOf(objects, {
            source: parseAddress(flow.from),
            destination: parseAddress(flow.to),
            protocol: flow.protocol.toLowerCase() as Protocol,
            port: flow.port,
          })
          const said = Object.fromEntries(
            verdict.judgements.map(({ direction, admittedBy = '' }) => [direction, admittedBy]),
          )
          const [egress, ingress] = (['egress', 'ingress'] as const).map((direction) =>
            admitting(projected, direction, flow),
          )
          const agreed =
            verdict.doubtful.length === 0 &&
            verdict.accepted === allowed(oracle, flow) &&
            said['egress'] === egress &&
            (egress === '' || said['ingress'] === ingress)
          return agreed ? [] : [{ flow, verdict, egress, ingress }]
        })
      expect(wrong, `with ${JSON.stringify(policies)}`).toEqual([])
    }
  })
})
