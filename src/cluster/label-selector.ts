// Label selectors (meta/v1 LabelSelector): parsing, matching and their kubectl notation.
import { shown } from './raw-values.ts'

export type Labels = Readonly<Record<string, string>>

/**
 * Requirements that must all hold; an empty list selects everything. They are sorted and without duplicates, so that
 * equivalent selectors are equal.
 */
export type LabelSelector = readonly Requirement[]

export interface Requirement {
  readonly key: string
  readonly operator: Operator
  /** Sorted; empty for Exists and DoesNotExist. */
  readonly values: readonly string[]
}

const operators = ['In', 'NotIn', 'Exists', 'DoesNotExist'] as const
export type Operator = (typeof operators)[number]

/** An optional prefix, which is a DNS subdomain, and a name (RFC 1123). */
const labelKey =
  /^(?:(?=.{1,253}\/)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/)?[A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?$/
const labelValue = /^([A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?)?$/

/** Matches labels. As in Kubernetes, NotIn and DoesNotExist also match labels without the key. */
export function selects(selector: LabelSelector, labels: Labels): boolean {
  return selector.every(({ key, operator, values }) => {
    const value = Object.hasOwn(labels, key) ? labels[key] : undefined
    switch (operator) {
      case 'In':
        return value !== undefined && values.includes(value)
      case 'NotIn':
        return value === undefined || !values.includes(value)
      case 'Exists':
        return value !== undefined
      case 'DoesNotExist':
        return value === undefined
    }
  })
}

/**
 * Formats a selector as `kubectl -l` takes it: "app=web,tier in (api,db),!old"; "" selects everything. Different
 * selectors have different texts.
 */
export function formatSelector(selector: LabelSelector): string {
  return selector.map(formatRequirement).join(',')
}

function formatRequirement({ key, operator, values }: Requirement): string {
  switch (operator) {
    case 'In':
      return values.length === 1 ? `${key}=${values[0]}` : `${key} in (${values.join(',')})`
    case 'NotIn':
      return `${key} notin (${values.join(',')})`
    case 'Exists':
      return key
    case 'DoesNotExist':
      return `!${key}`
  }
}

/**
 * Parses a selector.
 * @throws {TypeError} when the API server would reject it.
 */
export function parseLabelSelector(raw: unknown): LabelSelector {
  return inOrder(rawRequirements(raw).map(parseRequirement))
}

/**
 * Parses only the valid requirements of a selector.
 * @param reject receives the reason for each requirement that is invalid.
 * @throws {TypeError} when the value is no selector at all.
 */
export function parseValidRequirements(raw: unknown, reject: (why: string) => void): LabelSelector {
  return inOrder(
    rawRequirements(raw).flatMap((requirement) => {
      try {
        return [parseRequirement(requirement)]
      } catch (error) {
        reject((error as Error).message)
        return []
      }
    }),
  )
}

interface RawRequirement {
  readonly key: unknown
  readonly operator: unknown
  readonly values?: unknown
}

/** Lists the requirements of a selector; each matchLabels entry is an In requirement with one value. */
function rawRequirements(raw: unknown): readonly RawRequirement[] {
  if (typeof raw !== 'object' || raw === null || Array.isArray(raw))
    throw new TypeError(`Expected a label selector, got \`${shown(raw)}\``)
  const { matchLabels, matchExpressions } = raw as { matchLabels?: unknown; matchExpressions?: unknown }
  if (typeof (matchLabels ?? {}) !== 'object' || Array.isArray(matchLabels))
    throw new TypeError(`Expected matchLabels to hold keys and values, got \`${shown(matchLabels)}\``)
  if (!Array.isArray(matchExpressions ?? []))
    throw new TypeError(`Expected matchExpressions to be a list, got \`${shown(matchExpressions)}\``)
  return [
    ...Object.entries(matchLabels ?? {}).map(([key, value]) => ({ key, operator: 'In', values: [value as unknown] })),
    ...((matchExpressions ?? []) as RawRequirement[]),
  ]
}

function parseRequirement(raw: RawRequirement): Requirement {
  const { key, operator, values } = (raw as RawRequirement | null) ?? { key: undefined, operator: undefined }
  if (typeof key !== 'string' || !labelKey.test(key))
    throw new TypeError(`Expected the key of a label, got \`${shown(key)}\``)
  const known = operators.find((each) => each === operator)
  if (known === undefined)
    throw new TypeError(`Expected the operator In, NotIn, Exists or DoesNotExist, got \`${shown(operator)}\``)
  const list: unknown = values ?? []
  if (!Array.isArray(list)) throw new TypeError(`Expected values to be a list, got \`${shown(values)}\``)
  const takesValues = known === 'In' || known === 'NotIn'
  if (takesValues !== list.length > 0)
    throw new TypeError(`Expected ${known} to come ${takesValues ? 'with' : 'without'} values, got \`${shown(list)}\``)
  for (const value of list)
    if (typeof value !== 'string' || !labelValue.test(value))
      throw new TypeError(`Expected the value of a label, got \`${shown(value)}\``)
  return Object.freeze({ key, operator: known, values: Object.freeze([...new Set(list as string[])].toSorted()) })
}

function inOrder(requirements: readonly Requirement[]): LabelSelector {
  const byText = new Map(requirements.map((requirement) => [formatRequirement(requirement), requirement]))
  return Object.freeze([...byText].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, requirement]) => requirement))
}
