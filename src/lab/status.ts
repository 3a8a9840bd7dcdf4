// `lab status`: shows nodes and pods on one page.
import type { ApiConnection } from '../cluster/api-connection.ts'
import { isNodeName, type Lab } from './layout.ts'
import { isNodeRunning } from './nodes.ts'
import { readSettings } from './settings.ts'
import { listNodes, listPods, type NodeView, type PodView } from './views.ts'

export interface LabStatus {
  readonly name: string
  readonly overlay: string
  readonly controlPlane: string
  readonly nodes: readonly NodeView[]
  readonly pods: readonly PodView[]
}

export async function readStatus(lab: Lab, api: ApiConnection): Promise<LabStatus> {
  const [nodes, pods] = await Promise.all([listNodes(api), listPods(api)])
  const { overlay, controlPlane } = readSettings(lab) ?? { overlay: '', controlPlane: '' }
  return { name: lab.name, overlay, controlPlane, nodes: nodes.map((node) => withLiveState(lab, node)), pods }
}

/** Marks a node as not ready whose processes have ended: the API server knows only the kubelet's last report. */
function withLiveState(lab: Lab, node: NodeView): NodeView {
  if (!isNodeName(node.name) || isNodeRunning(lab, node.name)) return node
  return { ...node, ready: false, message: "it does not run: 'fairlead lab up' starts it again" }
}

export function formatStatus({ name, overlay, controlPlane, nodes, pods }: LabStatus): string {
  const nodeRows = nodes.map((node) => [
    node.name,
    node.address,
    node.podCidr,
    node.ready ? 'ready' : 'not ready',
    node.agent === 'stopped' ? 'agent stopped' : node.ready ? '' : node.message,
  ])
  const podRows = pods.map((pod) => [
    `${pod.namespace}/${pod.name}`,
    pod.node,
    pod.address,
    pod.deleted ? 'Terminating' : pod.phase,
    pod.ready ? '' : pod.message,
  ])
  return [
    `lab ${name}, overlay ${overlay}, control plane ${controlPlane}`,
    formatTable(['NODE', 'ADDRESS', 'PODS', 'STATE', ''], nodeRows),
    podRows.length === 0 ? 'no pods' : formatTable(['POD', 'NODE', 'ADDRESS', 'PHASE', ''], podRows),
  ].join('\n\n')
}

function formatTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [header, ...rows]
  const widths = header.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)))
  return all
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}
