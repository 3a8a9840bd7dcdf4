// What the reachability matrix is about, as the network-policy suites of Kubernetes have it: namespaces x, y and z with
// pods a, b and c each, on two nodes so that every pod has neighbours on its own node and on the other, both ports of
// all three protocols served by every pod.
import type { Labels, Protocol } from './network-policy.ts'
import type { Pod } from './oracle.ts'

export const protocols: readonly Protocol[] = ['TCP', 'UDP', 'SCTP']
export const ports: readonly number[] = [80, 81]

export const namespaces: Readonly<Record<string, Labels>> = {
  x: { ns: 'x', team: 'blue' },
  y: { ns: 'y', team: 'blue', stage: 'live' },
  z: { ns: 'z', team: 'red' },
}

const nodeOf: Readonly<Record<string, string>> = {
  'x/a': 'node1',
  'x/b': 'node2',
  'x/c': 'node1',
  'y/a': 'node2',
  'y/b': 'node1',
  'y/c': 'node2',
  'z/a': 'node1',
  'z/b': 'node2',
  'z/c': 'node1',
}
const roles: Readonly<Record<string, Labels>> = { a: { role: 'server', tier: 'data' }, b: { role: 'client' }, c: {} }
const everywhere: Pod['ports'] = ports.flatMap((containerPort) =>
  protocols.map((protocol) => ({ name: `serve-${containerPort}-${protocol.toLowerCase()}`, protocol, containerPort })),
)
/** One name that is another port in each pod, or a port of another protocol. */
const own: Readonly<Record<string, Pod['ports']>> = {
  a: [{ name: 'web', protocol: 'TCP', containerPort: 80 }],
  b: [{ name: 'web', protocol: 'TCP', containerPort: 81 }],
  c: [{ name: 'web', protocol: 'UDP', containerPort: 81 }],
}

type Unplaced = Omit<Pod, 'address'>

export const pods: readonly Unplaced[] = Object.keys(namespaces).flatMap((namespace) =>
  ['a', 'b', 'c'].map((name) => ({
    namespace,
    name,
    labels: { pod: name, ...roles[name] },
    node: nodeOf[`${namespace}/${name}`] ?? '',
    ports: [...everywhere, ...(own[name] ?? [])],
  })),
)

/** Looks like x/a to every selector, but has its node's network. */
export const hostPod: Unplaced = {
  namespace: 'x',
  name: 'host',
  labels: { pod: 'a', ...roles['a'] },
  node: 'node2',
  ports: [],
  hostNetwork: true,
}

/** Of x/a's port 80, over TCP and UDP, on its node. */
export const hostPort = 18_080

/** What a Service of each pod listens on for the pod's ports. */
export function servicePort(port: number): number {
  return 8000 + port
}

export function namespaceManifest(name: string, labels: Labels): object {
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } }
}

/** The pod has a namespace and does nothing there: the prober does. */
export function podManifest({ namespace, name, labels, node, ports, hostNetwork = false }: Unplaced): object {
  const isPublished = ({ name: port, protocol, containerPort }: Pod['ports'][number]): boolean =>
    `${namespace}/${name}` === 'x/a' && containerPort === 80 && port.startsWith('serve') && protocol !== 'SCTP'
  const container = {
    name: 'idle',
    image: 'idle',
    command: ['sleep', 'infinity'],
    ports: ports.map((port) => (isPublished(port) ? { ...port, hostPort } : port)),
  }
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { namespace, name, labels: { ...labels, service: name } },
    spec: { nodeName: node, hostNetwork, terminationGracePeriodSeconds: 1, containers: [container] },
  }
}

/** A Service in front of one pod. */
export function serviceManifest({ namespace, name }: Unplaced): object {
  const exposed = ports.flatMap((port) =>
    protocols.map((protocol) => ({
      name: `${protocol.toLowerCase()}-${port}`,
      protocol,
      port: servicePort(port),
      targetPort: port,
    })),
  )
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { namespace, name },
    spec: { selector: { service: name }, ports: exposed },
  }
}
