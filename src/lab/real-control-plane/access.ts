// Grants the lab's users their rights on a real API server: those that they have on the lab's own, and those of the
// namespace controller, which only a real API server needs.
import type { ApiConnection } from '../../cluster/api-connection.ts'
import { userOf } from '../apiserver/authentication.ts'
import { controllersAndAgents } from '../apiserver/bootstrap-roles.ts'
import { applyObject, type Manifest } from '../objects.ts'

const apiGroup = 'rbac.authorization.k8s.io'

/** Binds the role that every cluster has for this controller: to list and delete all objects in namespaces. */
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
