// Runs commands of the machine inside a lab. This process becomes the command by execve, so terminal, signals and exit
// code are those of the command.
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { execaSync } from 'execa'
import { isControlPlaneRunning } from './control-plane.ts'
import { kubeconfigOf, type Lab, type Member, namespacePath, type NodeName, podRecordsDirectory } from './layout.ts'
import { inNode, nodesOf } from './nodes.ts'
import { dist, isIn, thisProgram } from './processes.ts'
import { podRecordFile, type PodRecord, podRecordSchema } from './pod-record.ts'

/**
 * Continues in the control plane's namespace, from which the API server is reachable: runs the same command line there,
 * unless this process is in it already.
 */
export function enterControlNamespace(lab: Lab): void {
  if (isInControlNamespace(lab)) return
  requireLab(lab)
  if (!isControlPlaneRunning(lab))
    throw new Error(`the control plane of lab ${lab.name} has ended: 'fairlead lab up' creates the lab again`)
  execCommand(inMember(lab, 'control', thisProgram(...process.argv.slice(2))))
}

export function isInControlNamespace(lab: Lab): boolean {
  return isIn(lab, 'control', 'self')
}

/**
 * Returns the command line that runs a command in a member's network namespace.
 * @throws {Error} when there is no such lab.
 */
export function inMember(lab: Lab, member: Member, command: readonly string[]): string[] {
  requireLab(lab)
  return ['nsenter', `--net=${namespacePath(lab, member)}`, '--', ...command]
}

/**
 * Returns the command line that runs a command in the pod's namespaces with its environment.
 * @throws {Error} when no such pod runs.
 */
export function inPod(lab: Lab, pod: { namespace: string; name: string }, command: readonly string[]): string[] {
  requireLab(lab)
  const { node, record } = findPod(lab, pod)
  const environment = Object.entries(record.environment).map(([name, value]) => `${name}=${value}`)
  const enter = record.netns === '' ? [] : ['ip', 'netns', 'exec', record.netns]
  return inNode(lab, node, [...enter, 'env', ...environment, ...command])
}

/** Returns the command line that runs kubectl as the administrator. */
export function kubectl(lab: Lab, args: readonly string[]): string[] {
  return inMember(lab, 'control', ['env', `KUBECONFIG=${kubeconfigOf(lab, 'admin')}`, findProgram('kubectl'), ...args])
}

/** Replaces this process by a command. Does not return. */
export function execCommand(command: readonly string[]): never {
  const [file = ''] = command
  // The PATH for commands: this Node.js, the user's PATH, this program and the folders of administration tools.
  const path = [dirname(process.execPath), process.env['PATH'], join(dist, '../bin'), '/usr/sbin', '/sbin'].join(':')
  if (process.execve === undefined) throw new Error('Expected a Node on Linux')
  return process.execve(findProgram(file), [...command], { ...process.env, PATH: path })
}

function requireLab(lab: Lab): void {
  try {
    readdirSync(lab.directory)
  } catch {
    const nameOption = lab.name === 'lab' ? '' : ` --name ${lab.name}`
    throw new Error(`there is no lab ${lab.name} on this machine: bring it up with 'fairlead lab up${nameOption}'`)
  }
}

function findPod(lab: Lab, pod: { namespace: string; name: string }): { node: NodeName; record: PodRecord } {
  for (const node of nodesOf(lab)) {
    const text = readIfThere(join(podRecordsDirectory(lab, node), podRecordFile(pod)))
    if (text !== undefined) return { node, record: podRecordSchema.parse(JSON.parse(text)) }
  }
  throw new Error(
    `no node of lab ${lab.name} runs a pod ${pod.namespace}/${pod.name}: 'fairlead lab status' shows the pods`,
  )
}

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}

function findProgram(name: string): string {
  if (name.startsWith('/')) return name
  const { stdout, failed } = execaSync('sh', ['-c', 'command -v -- "$1"', 'sh', name], {
    reject: false,
    env: { PATH: `${process.env['PATH']}:/usr/sbin:/sbin` },
  })
  if (failed) throw new Error(`${name} is not installed: put it on the PATH`)
  return stdout
}
