// Names, addresses and paths of a lab. All of them follow from the lab's name, so that the leftovers of a crashed lab
// can be found without any record.
import { join } from 'node:path'

/** One lab: a switch, a control plane, an outside client and some nodes, each a network namespace of the machine. */
export interface Lab {
  readonly name: string
  /**
   * /run/flab/NAME: kubeconfigs, logs, pids and the kubelets' pod records. It has the same path on the machine and in
   * every node.
   */
  readonly directory: string
  readonly logs: string
}

export const labsDirectory = '/run/flab'

/** @throws {TypeError} when the name cannot be part of a namespace's name. */
export function labNamed(name: string): Lab {
  if (!/^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$/.test(name))
    throw new TypeError(`Expected a lab name of 1 to 32 lower-case letters, digits or dashes, got \`${name}\``)
  const directory = join(labsDirectory, name)
  return { name, directory, logs: join(directory, 'logs') }
}

/** The members of the underlay network; `net` is the switch itself. */
export type Member = 'net' | 'control' | 'outside' | NodeName
export type NodeName = `node${number}`

/** Returns the name of the member's network namespace on the machine. */
export function namespaceOf(lab: Lab, member: Member): string {
  return `flab-${lab.name}-${member}`
}

export function namespacePath(lab: Lab, member: Member): string {
  return join('/run/netns', namespaceOf(lab, member))
}

/**
 * Returns the member that a namespace belongs to; undefined when it belongs to another lab (`flab-a-net-control` is of
 * lab `a-net`, not of lab `a`).
 */
export function memberOf(lab: Lab, namespace: string): Member | undefined {
  const prefix = `flab-${lab.name}-`
  if (!namespace.startsWith(prefix)) return undefined
  const member = namespace.slice(prefix.length)
  if (member === 'net' || member === 'control' || member === 'outside') return member
  return isNodeName(member) ? member : undefined
}

export function isNodeName(text: string): text is NodeName {
  return /^node[1-9]\d?$/.test(text)
}

/** @throws {TypeError} when the text is not the name of a lab node. */
export function parseNodeName(text: string): NodeName {
  if (!isNodeName(text)) throw new TypeError(`Expected a node such as node1, got \`${text}\``)
  return text
}

/** Nodes are counted from 1 and have the addresses from 192.168.0.21 on, up to that of the outside client. */
export const maxNodes = 64

/** @param index from 1 on. */
export function nodeNumbered(index: number): NodeName {
  return `node${index}`
}

export function nodeIndex(node: NodeName): number {
  return Number(node.slice('node'.length))
}

/**
 * The underlay: one flat network, like a rack. The gateway is an address of the switch, which forwards nothing: no
 * packet leaves the machine.
 */
export const underlay = {
  prefix: 24,
  gateway: '192.168.0.1',
  control: '192.168.0.10',
  outside: '192.168.0.100',
} as const

/** Returns the member's address on the underlay. */
export function addressOf(member: Exclude<Member, 'net'>): string {
  if (member === 'control' || member === 'outside') return underlay[member]
  return `192.168.0.${20 + nodeIndex(member)}`
}

export const cluster = {
  podCidr: '172.30.0.0/16',
  serviceCidr: '10.254.0.0/16',
  dns: '10.254.0.2',
  apiPort: 6443,
} as const

/**
 * The addresses for Services of type LoadBalancer. No machine has them; the outside client has routes to them through
 * nodes.
 */
export const loadBalancerPool: readonly string[] = Array.from({ length: 20 }, (_, i) => `192.168.0.${200 + i}`)

/** The port of the outside server, TCP and UDP. */
export const outsidePort = 8080

/** The Node annotation that stops the node's agent; the kubelet stand-in follows it. */
export const agentAnnotation = 'lab.fairlead.dev/agent'

export function nodeDirectory(lab: Lab, node: NodeName): string {
  return join(lab.directory, 'nodes', node)
}

/** The file with the pid, on the machine, of the process whose child is the node's PID 1. */
export function nodePidFile(lab: Lab, node: NodeName): string {
  return join(nodeDirectory(lab, node), 'pid')
}

/** The file with the agent's pid, in the node's pid namespace. It exists while the agent runs. */
export function agentPidFile(lab: Lab, node: NodeName): string {
  return join(nodeDirectory(lab, node), 'agent.pid')
}

/** The folder of a node's pod records: one `NAMESPACE_NAME.json` for each pod that runs (pod-record.ts). */
export function podRecordsDirectory(lab: Lab, node: NodeName): string {
  return join(nodeDirectory(lab, node), 'pods')
}

/** The folder of the containers' output: one `NAMESPACE_POD_CONTAINER.log` each. */
export function podLogsOf(lab: Lab): string {
  return join(lab.logs, 'pods')
}

/** The file in which the lab's own API server records which user used which verb on which resource. */
export function auditLogOf(lab: Lab): string {
  return join(lab.logs, 'audit.log')
}

/** The users of a lab; each has a kubeconfig file. */
export type User = 'admin' | 'controllers' | `agent-${NodeName}` | `kubelet-${NodeName}`

export function kubeconfigOf(lab: Lab, user: User): string {
  return join(lab.directory, `${user}.kubeconfig`)
}
