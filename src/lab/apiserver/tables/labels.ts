// Formats labels and selectors in one line, like kubectl.
import { type Fields, isFields, listOfFields, textAt } from '../kube-object.ts'

/** Formats "app=web,tier=front"; "<none>" when there are no labels. */
export function formatLabels(labels: unknown): string {
  const pairs = isFields(labels) ? Object.entries(labels).toSorted(([a], [b]) => (a < b ? -1 : 1)) : []
  return pairs.length === 0 ? '<none>' : pairs.map(([key, value]) => `${key}=${String(value)}`).join(',')
}

/** Formats a LabelSelector: "app=web,tier in (a,b)". */
export function formatSelector(selector: unknown): string {
  if (!isFields(selector)) return '<none>'
  const labels =
    isFields(selector['matchLabels']) && Object.keys(selector['matchLabels']).length > 0
      ? [formatLabels(selector['matchLabels'])]
      : []
  const parts = [
    ...labels,
    ...listOfFields(selector['matchExpressions']).map((expression) => formatExpression(expression)),
  ]
  return parts.length === 0 ? '<none>' : parts.join(',')
}

function formatExpression(expression: Fields): string {
  const key = textAt(expression, 'key')
  const values = Array.isArray(expression['values']) ? expression['values'].map(String).toSorted().join(',') : ''
  switch (expression['operator']) {
    case 'In':
      return `${key} in (${values})`
    case 'NotIn':
      return `${key} notin (${values})`
    case 'DoesNotExist':
      return `!${key}`
    default:
      return key
  }
}
