// Sets of policies by chance, over the labels, ports and addresses that the matrix has and some that it has not.
import type { Random } from '../netns/random.ts'
import { outsiders } from './matrix-cells.ts'
import { protocols } from './matrix-cluster.ts'
import type { Labels, NetworkPolicy, Peer, PolicySpec, Port, Requirement, Selector } from './network-policy.ts'

const podLabels: Readonly<Record<string, readonly string[]>> = {
  pod: ['a', 'b', 'c', 'd'],
  role: ['server', 'client'],
  tier: ['data'],
}
const namespaceLabels: Readonly<Record<string, readonly string[]>> = {
  ns: ['x', 'y', 'z'],
  team: ['blue', 'red'],
  stage: ['live'],
  'kubernetes.io/metadata.name': ['x', 'y', 'z'],
}
/** Each within one that stands before it, so that any can be excepted from an earlier one. */
const blocks: readonly string[] = [
  '0.0.0.0/0',
  '192.168.0.0/16',
  '192.168.0.0/24',
  '192.168.0.96/27',
  `${outsiders['outside']}/32`,
]
const otherBlocks: readonly string[] = [
  '172.30.0.0/16',
  '172.30.0.0/24',
  '172.30.1.0/24',
  '192.168.0.150/31',
  '192.168.0.22/32',
  'fd00::/8',
]
const portNames: readonly string[] = ['web', 'serve-80-tcp', 'serve-81-udp', 'serve-81-sctp', 'nowhere']

/** One to six policies, in any of the namespaces. */
export function randomPolicies(random: Random): NetworkPolicy[] {
  return some(random, 1, 6, (i) => ({
    namespace: random.pick(['x', 'y', 'z']),
    name: `random-${i}`,
    spec: randomSpec(random),
  }))
}

/** Labels for a pod of the matrix, any of them other than it has. */
export function randomPodLabels(random: Random): Labels {
  return randomLabels(random, podLabels)
}

export function randomNamespaceLabels(random: Random): Labels {
  const { 'kubernetes.io/metadata.name': _, ...free } = namespaceLabels
  return randomLabels(random, free)
}

function randomSpec(random: Random): PolicySpec {
  const ingress = maybe(random, 0.7, () =>
    some(random, 0, 3, () => ({
      ...maybe(random, 0.8, () => ({ from: randomPeers(random) })),
      ...maybe(random, 0.5, () => ({ ports: randomPorts(random) })),
    })),
  )
  // An egress section without a rule says nothing by itself: whether it is one depends on how the object came to the
  // server.
  const egress = maybe(random, 0.6, () =>
    some(random, 1, 3, () => ({
      ...maybe(random, 0.8, () => ({ to: randomPeers(random) })),
      ...maybe(random, 0.5, () => ({ ports: randomPorts(random) })),
    })),
  )
  const policyTypes = maybe(random, 0.6, () => random.pick([['Ingress'], ['Egress'], ['Ingress', 'Egress']] as const))
  return {
    podSelector: random.chance(0.3) ? {} : randomSelector(random, podLabels),
    ...(policyTypes === undefined ? {} : { policyTypes }),
    ...(ingress === undefined ? {} : { ingress }),
    ...(egress === undefined ? {} : { egress }),
  }
}

function randomPeers(random: Random): Peer[] {
  return some(random, 0, 3, () => {
    const podSelector = (): Selector => (random.chance(0.3) ? {} : randomSelector(random, podLabels))
    const namespaceSelector = (): Selector => (random.chance(0.3) ? {} : randomSelector(random, namespaceLabels))
    switch (random.below(5)) {
      case 0:
        return { podSelector: podSelector() }
      case 1:
        return { namespaceSelector: namespaceSelector() }
      case 2:
        return { podSelector: podSelector(), namespaceSelector: namespaceSelector() }
      case 3:
        return { ipBlock: { cidr: random.pick(otherBlocks) } }
      default: {
        const within = random.below(blocks.length)
        const except = blocks.slice(within + 1).filter(() => random.chance(0.4))
        return { ipBlock: { cidr: blocks[within] ?? '0.0.0.0/0', ...(except.length === 0 ? {} : { except }) } }
      }
    }
  })
}

function randomPorts(random: Random): Port[] {
  return some(random, 0, 3, () => {
    const protocol = maybe(random, 0.7, () => ({ protocol: random.pick(protocols) })) ?? {}
    switch (random.below(4)) {
      case 0:
        return protocol
      case 1:
        return { ...protocol, port: random.pick(portNames) }
      case 2: {
        const port = random.pick([1, 79, 80, 81])
        return { ...protocol, port, endPort: random.within(port, 82) }
      }
      default:
        return { ...protocol, port: random.pick([80, 81, 8080]) }
    }
  })
}

function randomSelector(random: Random, labels: Readonly<Record<string, readonly string[]>>): Selector {
  const key = (): string => random.pick(Object.keys(labels))
  const requirement = (): Requirement => {
    const [of, operator] = [key(), random.pick(['In', 'NotIn', 'Exists', 'DoesNotExist'] as const)]
    return {
      key: of,
      operator,
      ...(operator === 'In' || operator === 'NotIn'
        ? { values: some(random, 1, 2, () => random.pick(labels[of] ?? [''])) }
        : {}),
    }
  }
  const label = (): Labels => {
    const of = key()
    return { [of]: random.pick(labels[of] ?? ['']) }
  }
  return {
    ...maybe(random, 0.6, () => ({ matchLabels: label() })),
    ...maybe(random, 0.5, () => ({ matchExpressions: some(random, 1, 2, requirement) })),
  }
}

function randomLabels(random: Random, labels: Readonly<Record<string, readonly string[]>>): Labels {
  return Object.fromEntries(
    Object.entries(labels).flatMap(([key, values]) => (random.chance(0.7) ? [[key, random.pick(values)]] : [])),
  )
}

function maybe<T>(random: Random, share: number, make: () => T): T | undefined {
  return random.chance(share) ? make() : undefined
}

function some<T>(random: Random, least: number, most: number, make: (index: number) => T): T[] {
  return Array.from({ length: random.within(least, most) }, (_, i) => make(i))
}
