// The part of a Namespace object that we keep: its labels, which policies select by.
import type { Labels } from './label-selector.ts'

export interface ClusterNamespace {
  readonly name: string
  /** Always include kubernetes.io/metadata.name, as the API server ensures. */
  readonly labels: Labels
}
