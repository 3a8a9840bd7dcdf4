// What the lab's users may do on a real API server: what they may on the lab's own, and what falls to the controllers
// here alone.
import type { ApiConnection } from '../../cluster/api-connection.ts'
import { userOf } from '../apiserver/authentication.ts'
import { controllersAndAgents } from '../apiserver/bootstrap-roles.ts'
import { applyObject, type Manifest } from '../objects.ts'

const apiGroup = 'rbac.authorization.k8s.io'

/** The role that every cluster has for it: to list and delete whatever is in a namespace that ends. */
const namespaceController: Manifest = {
  apiVersion: `${apiGroup}/v1`,
  kind: 'ClusterRoleBinding',
  metadata: { name: 'fairlead-lab:namespace-controller' },
  roleRef: { apiGroup, kind: 'ClusterRole', name: 'system:controller:namespace-controller' },
  subjects: [{ apiGroup, kind: 'User', name: userOf('controllers').name }],
}

export async function grantAccess(api: ApiConnection): Promise<void> {
  for (const object of controllersAndAgents()) await applyObject(api, { ...object, metadata: { ...object.metadata } })
  await applyObject(api, namespaceController)
}
