// What the lab's users may do on a real API server: the very roles that they have on the lab's own.
import type { ApiConnection } from '../../cluster/api-connection.ts'
import { controllersAndAgents } from '../apiserver/bootstrap-roles.ts'
import { applyObject } from '../objects.ts'

export async function grantAccess(api: ApiConnection): Promise<void> {
  for (const object of controllersAndAgents()) await applyObject(api, { ...object, metadata: { ...object.metadata } })
}
