// Starts, enters and stops nodes. A node is the process `unshare` in the member's network namespace; its child is PID 1
// of the node's own mount and pid namespaces.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ApiConnection } from '../cluster/api-connection.ts'
import { writeKubeconfig } from './apiserver/kubeconfig.ts'
import {
  addressOf,
  agentAnnotation,
  agentPidFile,
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
import { isIn, killAllIn, startIn, thisProgram } from './processes.ts'
import type { LabSettings } from './settings.ts'

/**
 * The script of a node's PID 1. It builds a host out of a network, mount and pid namespace, and keeps the kubelet
 * running in it. A POSIX shell script: $1 is the lab's directory, $2 `bridged`, or `routed` for a node without
 * br_netfilter; the rest is the kubelet's command, which is restarted one second after it ends.
 *
 * /run, /etc, /opt and /var/lib of the node are overlays in memory, which vanish with the node. The script first
 * unmounts the machine's network namespaces, because a copy of their mounts would keep them alive. `mount -n` does not
 * record anything in the machine's /run. While the shell waits it reaps every orphan; only SIGKILL ends it, and with it
 * all processes of the node.
 */
const nodeInitScript = `
set -eu
directory=$1
mode=$2
shift 2
umount -n -R -l /run/netns 2>/dev/null || true
mount -n -t tmpfs -o mode=755 tmpfs /mnt
mkdir -p /mnt/netns "/mnt\${directory#/run}"
mount -n --bind "$directory" "/mnt\${directory#/run}"
for path in /etc /opt /var/lib; do
  mkdir -p "/mnt/writes$path/upper" "/mnt/writes$path/work"
  mount -n -t overlay -o "lowerdir=$path,upperdir=/mnt/writes$path/upper,workdir=/mnt/writes$path/work" overlay "$path"
done
mount -n --move /mnt /run
mount -n -t sysfs sysfs /sys
if [ "$mode" = routed ] && [ -d /proc/sys/net/bridge ]; then
  for key in /proc/sys/net/bridge/bridge-nf-call-*; do echo 0 > "$key"; done
  mount -n -t tmpfs -o ro,mode=555 tmpfs /proc/sys/net/bridge
fi
rm -rf /etc/cni /opt/cni /var/lib/cni
mkdir -p /etc/cni/net.d /opt/cni/bin /var/lib/cni
while :; do
  "$@" &
  wait $! || true
  sleep 1
done
`

/** Returns the nodes whose namespaces exist, in order. */
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

/** Stops everything on the node and removes its namespaces, even if the node was killed or never started. */
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
 * Returns the command line that runs a command in the node's namespaces.
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

const switchTimeoutMs = 20_000

/**
 * `lab agent stop|start NODE`: sets the annotation of the Node that the kubelet stand-in follows, and waits until the
 * agent has started or ended.
 */
export async function switchAgent(
  lab: Lab,
  api: ApiConnection,
  node: NodeName,
  wanted: 'running' | 'stopped',
): Promise<void> {
  const annotations = { [agentAnnotation]: wanted === 'stopped' ? 'stopped' : null }
  await api.request('PATCH', `/api/v1/nodes/${node}`, {
    body: { metadata: { annotations } },
    contentType: 'application/merge-patch+json',
  })
  const deadline = Date.now() + switchTimeoutMs
  while (existsSync(agentPidFile(lab, node)) !== (wanted === 'running')) {
    if (Date.now() > deadline)
      throw new Error(
        `the agent of ${node} is not ${wanted} after ${switchTimeoutMs / 1000} s: see ${lab.logs}/agent-${node}.log`,
      )
    await sleep(50)
  }
}

/** Returns the pid in the file, if that process is in the node's network namespace: pids are reused. */
function pidOf(lab: Lab, node: NodeName): number | undefined {
  const file = nodePidFile(lab, node)
  if (!existsSync(file)) return undefined
  const pid = Number(readFileSync(file, 'utf8'))
  return isIn(lab, node, pid) ? pid : undefined
}
