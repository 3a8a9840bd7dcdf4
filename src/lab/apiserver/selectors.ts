// Parses label and field selectors of a query: "app=web,tier in (a,b),!old" and
// "spec.nodeName=node1,metadata.name!=x".
import { asServed } from './events.ts'
import { type KubeObject, textAt } from './kube-object.ts'
import type { Resource } from './resources.ts'
import { badRequest } from './status-error.ts'

export type Selector = (object: KubeObject) => boolean

type LabelTest = (labels: Readonly<Record<string, string>>) => boolean

/** @throws StatusError 400 when the text is not a label selector. */
export function parseLabelSelector(text: string): Selector {
  const tests = splitRequirements(text).map((requirement) => parseLabelRequirement(requirement))
  return ({ metadata }) => tests.every((test) => test(metadata.labels ?? {}))
}

/** @throws StatusError 400 when the text is not a field selector, or the resource cannot be selected by the field. */
export function parseFieldSelector(resource: Resource, text: string): Selector {
  const tests = splitRequirements(text).map((requirement) => {
    const [, path = '', operator = '', value = ''] = /^([\w./]+)\s*(==|!=|=)\s*(.*)$/.exec(requirement) ?? []
    if (path === '') throw badRequest(`Expected a field selector like spec.nodeName=node1, got \`${requirement}\``)
    if (path !== 'metadata.name' && path !== 'metadata.namespace' && !resource.selectable.includes(path))
      throw badRequest(`field label not supported: ${path}`)
    return (object: KubeObject) => (textAt(object, path) === value) === (operator !== '!=')
  })
  if (tests.length === 0) return () => true
  return (stored) => {
    const object = asServed(resource, stored)
    return tests.every((test) => test(object))
  }
}

function parseLabelRequirement(text: string): LabelTest {
  const [, not, only] = /^(!?)\s*([\w./-]+)$/.exec(text) ?? []
  if (only !== undefined) return (labels) => only in labels === (not === '')
  const [, key = '', operator, value = ''] = /^([\w./-]+)\s*(==|!=|=)\s*([\w.-]*)$/.exec(text) ?? []
  // != and notin also match objects without the label.
  if (operator !== undefined)
    return operator === '!=' ? (labels) => labels[key] !== value : (labels) => labels[key] === value
  const [, name = '', set, list = ''] = /^([\w./-]+)\s+(in|notin)\s*\(([^()]*)\)$/.exec(text) ?? []
  if (set === undefined)
    throw badRequest(
      `Expected a label requirement like app=web, app!=web, app in (web,db), app or !app, got \`${text}\``,
    )
  const values = new Set(list.split(',').map((item) => item.trim()))
  return (labels) => {
    const label = labels[name]
    return (label !== undefined && values.has(label)) === (set === 'in')
  }
}

/** Splits at commas outside of parentheses. */
function splitRequirements(text: string): string[] {
  const parts = text.split(/,(?![^(]*\))/).map((part) => part.trim())
  return parts.length === 1 && parts[0] === '' ? [] : parts
}
