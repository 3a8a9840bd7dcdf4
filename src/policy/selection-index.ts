// Finds the selections that a pod may be in without looking at all of them: each is filed under one label that it asks
// for, if it asks for one.
import { type Labels, selects } from '../cluster/label-selector.ts'
import type { PodSelection } from './pod-selection.ts'

/** The selections of one namespace. */
export class SelectionIndex {
  readonly #byLabel = new Map<string, PodSelection[]>()
  /** Those that ask for no particular label. */
  readonly #others: PodSelection[] = []

  constructor(selections: Iterable<PodSelection>) {
    for (const selection of selections) {
      const label = labelOf(selection)
      if (label === undefined) this.#others.push(selection)
      else this.#byLabel.set(label, [...(this.#byLabel.get(label) ?? []), selection])
    }
  }

  /** Those that select a pod with these labels. */
  matching(labels: Labels): PodSelection[] {
    const candidates = [
      ...this.#others,
      ...Object.entries(labels).flatMap(([key, value]) => this.#byLabel.get(`${key}=${value}`) ?? []),
    ]
    return candidates.filter(({ pods }) => selects(pods, labels))
  }
}

function labelOf({ pods }: PodSelection): string | undefined {
  const exact = pods.find(({ operator, values }) => operator === 'In' && values.length === 1)
  return exact === undefined ? undefined : `${exact.key}=${exact.values[0]}`
}
