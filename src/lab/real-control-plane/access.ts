// What the lab's users may do on a real API server, which grants them nothing by itself but what every cluster has: administrators everything, kubelets
// what their node needs.
import { join } from 'node:path'
import type { ApiConnection } from '../../cluster/api-connection.ts'
import { userOf } from '../apiserver/authentication.ts'
import { applyObject, type Manifest, readManifests } from '../objects.ts'
import { dist } from '../processes.ts'

/** The agents get the very objects that they have on any cluster, so that what is missing there is missed here. */
const deployed = join(dist, '../deploy/rbac.yaml')

/** The lab's controllers are several of the controller manager's and the scheduler in one, which have a role each. */
const controllersRole: Manifest = {
  apiVersion: 'rbac.authorization.k8s.io/v1',
  kind: 'ClusterRoleBinding',
  metadata: { name: 'fairlead-lab-controllers' },
  roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' },
  subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: userOf('controllers').name }],
}

export async function grantAccess(api: ApiConnection): Promise<void> {
  for (const manifest of [controllersRole, ...readManifests(deployed)]) await applyObject(api, manifest)
}
