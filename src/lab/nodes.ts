// Nodes: started, entered and stopped. A node is the process `unshare`, whose child is PID 1 of the node's own mount
// and pid namespaces, in the member's network namespace.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { writeKubeconfig } from './apiserver/kubeconfig.ts'
import {
  addressOf,
  cluster,
  isNodeName,
  type Lab,
  namespacePath,
  nodeDirectory,
  nodePidFile,
  type NodeName,
  podRecordsDirectory,
} from './layout.ts'
import { createMember, membersOf, removeNamespace, unplug } from './namespaces.ts'
import { nodeInitScript } from './node-init.ts'
import { isIn, killAllIn, startIn, thisProgram } from './processes.ts'
import type { LabSettings } from './settings.ts'

/** Nodes whose namespaces exist, in order. */
export function nodesOf(lab: Lab): NodeName[] {
  return membersOf(lab).filter(isNodeName)
}

export async function startNode(lab: Lab, node: NodeName, settings: LabSettings): Promise<void> {
  await createMember(lab, node)
  mkdirSync(podRecordsDirectory(lab, node), { recursive: true })
  const url = `https://${addressOf('control')}:${cluster.apiPort}`
  for (const user of [`agent-${node}`, `kubelet-${node}`] as const)
    await writeKubeconfig({ dir: lab.directory, url, user })
  const kubelet = thisProgram('lab', 'kubelet', '--name', lab.name, '--node', node, '--overlay', settings.overlay)
  const isolate = ['unshare', '--mount', '--pid', '--fork', '--kill-child', '--propagation', 'private', '--mount-proc']
  const command = [
    ...isolate,
    '--',
    'sh',
    '-c',
    nodeInitScript,
    node,
    lab.directory,
    settings.brNetfilter ? 'bridged' : 'routed',
    ...kubelet,
  ]
  const pid = await startIn(lab, node, command, { log: join(lab.logs, `kubelet-${node}.log`) })
  writeFileSync(nodePidFile(lab, node), `${pid}\n`)
}

/**
 * Stops all that runs on the node and removes its namespaces; also what is left of a node that was killed or never came
 * up.
 */
export async function removeNode(lab: Lab, node: NodeName): Promise<void> {
  await killAllIn(lab, [node])
  await unplug(lab, node)
  await removeNamespace(lab, node)
  rmSync(nodeDirectory(lab, node), { recursive: true, force: true })
}

export function isNodeRunning(lab: Lab, node: NodeName): boolean {
  return pidOf(lab, node) !== undefined
}

/**
 * The command line that runs a command in the node, as its kubelet would.
 * @throws {Error} when the node does not run.
 */
export function inNode(lab: Lab, node: NodeName, command: readonly string[]): string[] {
  const pid = pidOf(lab, node)
  if (pid === undefined)
    throw new Error(`${node} of lab ${lab.name} does not run: 'fairlead lab status' shows which do`)
  return [
    'nsenter',
    `--net=${namespacePath(lab, node)}`,
    `--mount=/proc/${pid}/ns/mnt`,
    `--pid=/proc/${pid}/ns/pid_for_children`,
    '--',
    ...command,
  ]
}

/** Trusts the note only while the process is in the node's network namespace: pids are used again. */
function pidOf(lab: Lab, node: NodeName): number | undefined {
  const file = nodePidFile(lab, node)
  if (!existsSync(file)) return undefined
  const pid = Number(readFileSync(file, 'utf8'))
  return isIn(lab, node, pid) ? pid : undefined
}
