// The record that a kubelet writes for each pod it runs, so that `lab exec` can enter the pod.
import * as z from 'zod'

export const podRecordSchema = z.object({
  /** The name of the namespace on the node; empty for a pod in the host network. */
  netns: z.string(),
  environment: z.record(z.string(), z.string()),
})

export type PodRecord = z.infer<typeof podRecordSchema>

/** Returns the file name. The underscore is unambiguous: neither namespaces nor pods may have one in their names. */
export function podRecordFile(pod: { namespace: string; name: string }): string {
  return `${pod.namespace}_${pod.name}.json`
}
