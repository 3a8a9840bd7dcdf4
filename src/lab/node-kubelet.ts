// `lab kubelet`: runs the kubelet stand-in inside a node, with the paths and addresses of the lab.
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { connectCluster } from '../cluster/connect.ts'
import { runKubelet } from './kubelet/kubelet.ts'
import {
  addressOf,
  agentPidFile,
  cluster,
  kubeconfigOf,
  type Lab,
  type NodeName,
  podLogsOf,
  podRecordsDirectory,
} from './layout.ts'
import { thisProgram } from './processes.ts'
import type { LabSettings } from './settings.ts'

export async function runNodeKubelet(
  lab: Lab,
  node: NodeName,
  overlay: LabSettings['overlay'],
  signal: AbortSignal,
): Promise<void> {
  const agent = thisProgram(
    'agent',
    '--node-name',
    node,
    '--kubeconfig',
    kubeconfigOf(lab, `agent-${node}`),
    '--overlay',
    overlay,
    '--log-level',
    'debug',
  )
  const settings = {
    api: connectCluster({ kubeconfig: kubeconfigOf(lab, `kubelet-${node}`) }),
    node,
    address: () => nodeAddress('eth0', addressOf(node)),
    dns: cluster.dns,
    agent: { command: agent, log: join(lab.logs, `agent-${node}.log`), pidFile: agentPidFile(lab, node) },
    podRecords: podRecordsDirectory(lab, node),
    logs: podLogsOf(lab),
    log: pino({ base: null, timestamp: () => `,"time":"${new Date().toISOString()}"` }),
  }
  await runKubelet(settings, signal)
}

/**
 * Returns the node's current address, which DHCP or an administrator may change: the first IPv4 address of the uplink.
 * @param initial the address to return while the uplink has none.
 */
function nodeAddress(uplink: string, initial: string): string {
  return networkInterfaces()[uplink]?.find(({ family }) => family === 'IPv4')?.address ?? initial
}
