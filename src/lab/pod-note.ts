// What a kubelet notes down about a pod it runs, so that `lab exec` can enter it.
import * as z from 'zod'

export const podNoteSchema = z.object({
  /** The namespace's name on the node; empty for a pod in the node's own network. */
  netns: z.string(),
  environment: z.record(z.string(), z.string()),
})

export type PodNote = z.infer<typeof podNoteSchema>

/** Neither a namespace nor a pod can have an underscore in its name. */
export function podNoteFile(pod: { namespace: string; name: string }): string {
  return `${pod.namespace}_${pod.name}.json`
}
