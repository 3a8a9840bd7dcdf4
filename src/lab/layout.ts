// Names, addresses and paths of a lab. All follow from its name, so that what a crashed lab left behind can be found
// again without any record of it.
import { join } from 'node:path'

/** One lab: a switch, a control plane, an outside client and some nodes, each a network namespace of the machine. */
export interface Lab {
  readonly name: string
  /**
   * /run/flab/NAME: kubeconfigs, logs, pids and what the kubelets note down. Seen under the same path on the machine
   * and in every node.
   */
  readonly directory: string
  readonly logs: string
}

export const labsDirectory = '/run/flab'

/** @throws {TypeError} when the name cannot stand in the name of a namespace. */
export function labNamed(name: string): Lab {
  if (!/^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$/.test(name))
    throw new TypeError(`Expected a lab name of 1 to 32 lower-case letters, digits or dashes, got \`${name}\``)
  const directory = join(labsDirectory, name)
  return { name, directory, logs: join(directory, 'logs') }
}

/** What stands on the underlay: `net` is the switch itself. */
export type Member = 'net' | 'control' | 'outside' | NodeName
export type NodeName = `node${number}`

/** As `ip netns` lists it on the machine. */
export function namespaceOf(lab: Lab, member: Member): string {
  return `flab-${lab.name}-${member}`
}

export function namespacePath(lab: Lab, member: Member): string {
  return join('/run/netns', namespaceOf(lab, member))
}

/**
 * The member a namespace belongs to; undefined where it is not one of this lab's (`flab-a-net-control` is of lab
 * `a-net`, not of lab `a`).
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

/** @throws {TypeError} for a name no node of a lab can have. */
export function parseNodeName(text: string): NodeName {
  if (!isNodeName(text)) throw new TypeError(`Expected a node such as node1, got \`${text}\``)
  return text
}

/** Nodes are counted from 1 and live at 192.168.0.21 onwards; the outside client's address ends their row. */
export const maxNodes = 64

/** @param index from 1. */
export function nodeNumbered(index: number): NodeName {
  return `node${index}`
}

export function nodeIndex(node: NodeName): number {
  return Number(node.slice('node'.length))
}

/**
 * The underlay: one flat network, as in a rack. Its gateway is an address of the switch that leads nowhere: nothing
 * leaves the machine.
 */
export const underlay = {
  prefix: 24,
  gateway: '192.168.0.1',
  control: '192.168.0.10',
  outside: '192.168.0.100',
} as const

/** The member's address on the underlay. */
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
 * What Services of type LoadBalancer are given. Nobody on the underlay has these addresses; the outside client has
 * routes to them through nodes.
 */
export const loadBalancerPool: readonly string[] = Array.from({ length: 20 }, (_, i) => `192.168.0.${200 + i}`)

/** What the outside client answers on, TCP and UDP. */
export const outsidePort = 8080

/** The annotation by which the agent of a node is stopped: the kubelet stand-in then runs none. */
export const agentAnnotation = 'lab.fairlead.dev/agent'

export function nodeDirectory(lab: Lab, node: NodeName): string {
  return join(lab.directory, 'nodes', node)
}

/** Holds the pid, on the machine, of the process whose child is the node's PID 1. */
export function nodePidFile(lab: Lab, node: NodeName): string {
  return join(nodeDirectory(lab, node), 'pid')
}

/** There while the node's agent runs: its pid as the node counts. */
export function agentPidFile(lab: Lab, node: NodeName): string {
  return join(nodeDirectory(lab, node), 'agent.pid')
}

/** Where a node's kubelet notes how to enter the pods it runs: one `NAMESPACE_NAME.json` each. */
export function podRecordsDirectory(lab: Lab, node: NodeName): string {
  return join(nodeDirectory(lab, node), 'pods')
}

/** What the pods' containers print: one `NAMESPACE_POD_CONTAINER.log` each. */
export function podLogsOf(lab: Lab): string {
  return join(lab.logs, 'pods')
}

/** Where the lab's own API server writes down who did what. */
export function auditLogOf(lab: Lab): string {
  return join(lab.logs, 'audit.log')
}

/** Who may act in a lab; each has a kubeconfig file. */
export type User = 'admin' | 'controllers' | `agent-${NodeName}` | `kubelet-${NodeName}`

export function kubeconfigOf(lab: Lab, user: User): string {
  return join(lab.directory, `${user}.kubeconfig`)
}
