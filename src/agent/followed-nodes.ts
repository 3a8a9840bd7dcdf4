// The Nodes of the cluster as the agent follows them, and whose kubelets no longer report.
import type { Logger } from 'pino'
import type { ApiConnection } from '../cluster/api-connection.ts'
import { Heartbeats } from '../cluster/heartbeats.ts'
import type { ClusterNode } from '../cluster/node.ts'
import { projectNode, sameNode } from '../cluster/project-node.ts'
import { Reflector } from '../cluster/reflector.ts'

export interface FollowedNodes {
  readonly nodes: Reflector<ClusterNode>
  /** Returns the names of nodes whose last heartbeat is long before that of others. */
  readonly stale: () => ReadonlySet<string>
}

export function followNodes({ api, log }: { api: ApiConnection; log: Logger }): FollowedNodes {
  const heartbeats = new Heartbeats()
  const nodes: Reflector<ClusterNode> = new Reflector({
    api,
    path: '/api/v1/nodes',
    project: (raw, report) => {
      heartbeats.note(raw)
      return projectNode(raw, report)
    },
    equals: sameNode,
    log,
  })
  return { nodes, stale: () => heartbeats.stale(new Set(nodes.snapshot.keys())) }
}
