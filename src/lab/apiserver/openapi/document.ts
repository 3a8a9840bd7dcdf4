// OpenAPI v3, one document per group. `kubectl explain` shows it, and kubectl learns from it that the server validates
// fields and supports dryRun.
//
// The patch operations list no media types. Otherwise kubectl would use our schemas for strategic merge patches, but
// they have no merge keys, because the client's models have none. Without media types kubectl uses its built-in
// schemas.
import { apiVersionOf, type Resource, resources } from '../resources.ts'
import { descriptionsOf, fieldsOf, type FieldType, modelOf } from './models.ts'

const queryParameters = ['dryRun', 'fieldValidation', 'fieldManager'].map((name) => ({
  name,
  in: 'query',
  schema: { type: 'string', uniqueItems: true },
}))

/** Returns the document of GET /openapi/v3: the URL of each group's document. */
export function openApiIndex(): object {
  const paths = [...new Set(resources.map((resource) => rootOf(resource)))]
  return { paths: Object.fromEntries(paths.map((path) => [path, { serverRelativeURL: `/openapi/v3/${path}` }])) }
}

/**
 * Returns the document of GET /openapi/v3/apis/GROUP/VERSION; undefined for an unknown group.
 * @param path "api/v1" or "apis/apps/v1".
 */
export function openApiDocument(path: string): object | undefined {
  const members = resources.filter((resource) => rootOf(resource) === path)
  if (members.length === 0) return undefined
  const schemas: Record<string, object> = {}
  const paths: Record<string, object> = {}
  for (const resource of members) {
    const model = modelOf(resource)
    if (model === undefined) continue
    collect(model, schemas)
    schemas[nameOf(model)] = { ...schemas[nameOf(model)], 'x-kubernetes-group-version-kind': [identity(resource)] }
    const collection = `/${path}${resource.namespaced ? '/namespaces/{namespace}' : ''}/${resource.plural}`
    paths[collection] = { get: operation(resource, 'list'), post: operation(resource, 'post') }
    paths[`${collection}/{name}`] = {
      get: operation(resource, 'get'),
      put: operation(resource, 'put'),
      patch: operation(resource, 'patch'),
      delete: operation(resource, 'delete'),
    }
  }
  return { openapi: '3.0.0', info: { title: 'Kubernetes', version: 'fairlead-lab' }, paths, components: { schemas } }
}

function rootOf(resource: Resource): string {
  return `${resource.group === '' ? 'api' : 'apis'}/${apiVersionOf(resource)}`
}

function identity({ group, version, kind }: Resource): { group: string; version: string; kind: string } {
  return { group, version, kind }
}

function operation(resource: Resource, action: string): object {
  const writes = action === 'post' || action === 'put' || action === 'patch'
  return {
    'x-kubernetes-action': action,
    'x-kubernetes-group-version-kind': identity(resource),
    ...(writes ? { parameters: queryParameters } : {}),
    responses: {},
  }
}

/** Adds the model and all models that it refers to. */
function collect(model: string, schemas: Record<string, object>): void {
  const name = nameOf(model)
  if (name in schemas) return
  const words = descriptionsOf(model)
  const fields = fieldsOf(model)
  const properties: Record<string, object> = {}
  schemas[name] = { type: 'object', description: words.get('') ?? '', properties }
  for (const field of fields) {
    properties[field.name] = { description: words.get(field.name) ?? '', ...schemaOf(field.type) }
    const referred = modelIn(field.type)
    if (referred !== undefined) collect(referred, schemas)
  }
}

function schemaOf(type: FieldType): object {
  switch (type.kind) {
    case 'list':
      return { type: 'array', items: schemaOf(type.of) }
    case 'map':
      return { type: 'object', additionalProperties: schemaOf(type.of) }
    case 'model':
      return { allOf: [{ $ref: `#/components/schemas/${nameOf(type.model)}` }] }
    case 'time':
      return { type: 'string', format: 'date-time' }
    case 'int-or-string':
      return { 'x-kubernetes-int-or-string': true, oneOf: [{ type: 'integer' }, { type: 'string' }] }
    case 'number':
      return { type: 'integer' }
    case 'any':
      return {}
    case 'string':
    case 'boolean':
      return { type: type.kind }
  }
}

function modelIn(type: FieldType): string | undefined {
  if (type.kind === 'model') return type.model
  return type.kind === 'list' || type.kind === 'map' ? modelIn(type.of) : undefined
}

/** Converts "V1PodSpec" to "io.k8s.v1.PodSpec". kubectl shows the part after the last dot. */
function nameOf(model: string): string {
  const [, group = '', version = '', kind = model] =
    /^([A-Z][a-z]+)?(V\d+(?:(?:alpha|beta)\d+)?)(.+)$/.exec(model) ?? []
  return ['io.k8s', group.toLowerCase(), version.toLowerCase(), kind].filter(Boolean).join('.')
}
