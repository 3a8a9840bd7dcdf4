// What we keep of a Namespace object: its labels, by which policies name it.
import type { Labels } from './label-selector.ts'

export interface ClusterNamespace {
  readonly name: string
  /** kubernetes.io/metadata.name among them, as the API server sees to. */
  readonly labels: Labels
}
