// API discovery, which clients read first: group and resource lists, and both in one document (aggregated discovery,
// KEP-3352).
import { openApiDocument, openApiIndex } from './openapi/document.ts'
import { apiVersionOf, type Resource, resources, type Subresource } from './resources.ts'

export interface Document {
  readonly contentType: string
  readonly body: string
}

/** The version reported to clients: recent enough that they use WatchList and aggregated discovery. */
const version = {
  major: '1',
  minor: '34',
  gitVersion: 'v1.34.0+fairlead-lab',
  gitCommit: '',
  gitTreeState: 'clean',
  buildDate: '1970-01-01T00:00:00Z',
  goVersion: '',
  compiler: '',
  platform: `linux/${process.arch === 'x64' ? 'amd64' : process.arch}`,
}

const verbs = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch']
const subresourceKinds: Record<Subresource, { group: string; version: string; kind: string } | undefined> = {
  status: undefined,
  scale: { group: 'autoscaling', version: 'v1', kind: 'Scale' },
  binding: { group: '', version: 'v1', kind: 'Binding' },
  log: undefined,
  exec: { group: '', version: 'v1', kind: 'PodExecOptions' },
  attach: { group: '', version: 'v1', kind: 'PodAttachOptions' },
  portforward: { group: '', version: 'v1', kind: 'PodPortForwardOptions' },
}

/** Returns the document at a path; undefined when there is none. */
export function discover(path: string, accept: string): Document | undefined {
  const named = groups()
  if (path === '/version') return json(version)
  if (path === '/openapi/v2') return openApi
  if (path === '/openapi/v3') return json(openApiIndex())
  if (path.startsWith('/openapi/v3/')) return jsonIfAny(openApiDocument(path.slice('/openapi/v3/'.length)))
  if (path === '/api')
    return aggregatedFormat(accept) === undefined
      ? json({ kind: 'APIVersions', versions: ['v1'], serverAddressByClientCIDRs: [] })
      : aggregated(accept, [''])
  if (path === '/apis')
    return aggregatedFormat(accept) === undefined
      ? json({ kind: 'APIGroupList', apiVersion: 'v1', groups: named.map((name) => groupDocument(name)) })
      : aggregated(accept, named)
  const [, root, group = '', groupVersion] = /^\/(apis?)\/([^/]+)(?:\/([^/]+))?$/.exec(path) ?? []
  if (root === 'api') return group === 'v1' && groupVersion === undefined ? resourceList('', 'v1') : undefined
  if (!named.includes(group)) return undefined
  return groupVersion === undefined
    ? json({ kind: 'APIGroup', apiVersion: 'v1', ...groupDocument(group) })
    : resourceList(group, groupVersion)
}

/**
 * OpenAPI v2 without definitions, in the protobuf form that kubectl requests: zero bytes. kubectl 1.20 then skips its
 * own validation and relies on the server's. Newer versions read OpenAPI v3.
 */
const openApi: Document = { contentType: 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf', body: '' }

function groups(): string[] {
  return [...new Set(resources.map(({ group }) => group))].filter((group) => group !== '')
}

function versionsOf(group: string): string[] {
  return [...new Set(resources.filter((resource) => resource.group === group).map(({ version }) => version))]
}

function groupDocument(name: string): object {
  const versions = versionsOf(name).map((version) => ({ groupVersion: `${name}/${version}`, version }))
  return { name, versions, preferredVersion: versions[0] }
}

function resourceList(group: string, version: string): Document | undefined {
  const known = resources.filter((resource) => resource.group === group && resource.version === version)
  const [first] = known
  if (first === undefined) return undefined
  return json({
    kind: 'APIResourceList',
    apiVersion: 'v1',
    groupVersion: apiVersionOf(first),
    resources: known.flatMap((resource) => [
      listEntry(resource),
      ...resource.subresources.map((sub) => subresourceEntry(resource, sub)),
    ]),
  })
}

function listEntry({ plural, singular, namespaced, kind, shortNames, inAll }: Resource): object {
  return { name: plural, singularName: singular, namespaced, kind, verbs, shortNames, ...categories(inAll) }
}

function subresourceEntry(resource: Resource, sub: Subresource): object {
  const kind = subresourceKinds[sub] ?? { kind: resource.kind }
  return {
    name: `${resource.plural}/${sub}`,
    singularName: '',
    namespaced: resource.namespaced,
    ...kind,
    verbs: subresourceVerbs(sub),
  }
}

function aggregated(accept: string, names: readonly string[]): Document {
  const version = aggregatedFormat(accept) ?? 'v2'
  const items = names.map((name) => ({
    metadata: name === '' ? { creationTimestamp: null } : { name, creationTimestamp: null },
    versions: versionsOf(name).map((version) => ({
      version,
      freshness: 'Current',
      resources: resources.filter((resource) => resource.group === name).map((resource) => aggregatedEntry(resource)),
    })),
  }))
  return {
    contentType: `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList`,
    body: JSON.stringify({
      kind: 'APIGroupDiscoveryList',
      apiVersion: `apidiscovery.k8s.io/${version}`,
      metadata: {},
      items,
    }),
  }
}

function aggregatedEntry({
  group,
  version,
  kind,
  plural,
  singular,
  namespaced,
  shortNames,
  subresources,
  inAll,
}: Resource): object {
  const responseKind = { group, version, kind }
  const subs = subresources.map((sub) => ({
    subresource: sub,
    responseKind: subresourceKinds[sub] ?? responseKind,
    verbs: subresourceVerbs(sub),
  }))
  return {
    resource: plural,
    responseKind,
    scope: namespaced ? 'Namespaced' : 'Cluster',
    singularResource: singular,
    verbs,
    shortNames,
    ...categories(inAll),
    subresources: subs,
  }
}

function subresourceVerbs(sub: Subresource): string[] {
  switch (sub) {
    case 'binding':
      return ['create']
    case 'log':
      return ['get']
    case 'exec':
    case 'attach':
    case 'portforward':
      return ['create', 'get']
    case 'status':
    case 'scale':
      return ['get', 'patch', 'update']
  }
}

function categories(inAll: boolean): { categories?: string[] } {
  return inAll ? { categories: ['all'] } : {}
}

/** Returns the version of aggregated discovery that the client accepts, if any. */
function aggregatedFormat(accept: string): string | undefined {
  if (!accept.includes('as=APIGroupDiscoveryList')) return undefined
  return /v=v2(?=[;,]|$)/.test(accept) ? 'v2' : 'v2beta1'
}

function jsonIfAny(body: object | undefined): Document | undefined {
  return body && json(body)
}

function json(body: object): Document {
  return { contentType: 'application/json', body: JSON.stringify(body) }
}
