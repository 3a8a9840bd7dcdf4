// The metadata that controllers read of any namespaced object.
import * as z from 'zod'

export const namespacedMetadata = z.object({
  name: z.string(),
  namespace: z.string(),
  uid: z.string(),
  creationTimestamp: z.string().default(''),
  deletionTimestamp: z.string().optional(),
  labels: z.record(z.string(), z.string()).default({}),
})
