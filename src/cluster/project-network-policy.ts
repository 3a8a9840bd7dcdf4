// Converts a NetworkPolicy object to a ClusterNetworkPolicy, and compares two. An invalid peer, port or rule allows
// nothing, and an invalid selector selects every pod that it might. The rest of the policy is used. So no mistake
// exposes a pod that the policy should protect. Each mistake is reported in one sentence.
import { isDeepStrictEqual } from 'node:util'
import { cidrContains } from '../net/cidr.ts'
import { withoutNulls } from './explicit-nulls.ts'
import { asKubeObject, type KubeObject, keyOf } from './kube-object.ts'
import { type LabelSelector, parseLabelSelector, parseValidRequirements } from './label-selector.ts'
import type { BlockPeer, ClusterNetworkPolicy, PodPeer, PolicyPeer, PolicyPort, PolicyRule } from './network-policy.ts'
import type { Report } from './problem.ts'
import { asFields, asText, listOf, shown } from './raw-values.ts'
import { parsePortNumber, parseProtocol, parseServicePortName, parseSloppyCidr } from './service-fields.ts'

type Fields = Readonly<Record<string, unknown>>
/** Reports an invalid field: its path, what the policy does because of it, and the error. */
type ReportField = (field: string, effect: string, error: unknown) => void

const subdomain = /^(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/

/**
 * Projects a policy. Anything but a missing name leads to a policy that is stricter, not to an error.
 * @throws {TypeError} when the object has no name.
 */
export function projectNetworkPolicy(
  raw: unknown,
  report: Report,
): readonly [key: string, policy: ClusterNetworkPolicy] {
  // Null items of lists stay: each is refused below, where a peer, port or block less would admit more.
  const object = withoutNulls(asKubeObject(raw)) as KubeObject & { readonly spec?: unknown }
  const { namespace = '', name } = object.metadata
  const reportField: ReportField = (field, effect, error) => {
    const reason = error instanceof Error ? error.message : String(error)
    report(`NetworkPolicy ${shown(keyOf(object))}: ${field} ${effect}: ${reason}`, 'policy-closed')
  }
  return [keyOf(object), Object.freeze({ namespace, name, ...contentOf(name, object.spec, reportField) })]
}

/** Returns false when anything that we keep differs. */
export function samePolicy(a: ClusterNetworkPolicy, b: ClusterNetworkPolicy): boolean {
  return isDeepStrictEqual(a, b)
}

type Content = Pick<ClusterNetworkPolicy, 'podSelector' | 'ingress' | 'egress'>

function contentOf(name: string, raw: unknown, reportField: ReportField): Content {
  try {
    const spec = asFields(raw === undefined ? {} : raw)
    const { podSelector, valid } = selectionOf(spec['podSelector'] ?? {}, reportField)
    const types = typesOf(spec, reportField)
    if (!subdomain.test(name))
      reportField(
        'metadata.name',
        'makes the policy admit nothing',
        new TypeError('Expected lower-case letters, digits, dashes and dots'),
      )
    const allows = valid && subdomain.test(name)
    const rules = (field: string, peers: string): readonly PolicyRule[] =>
      allows ? rulesOf(spec[field], field, peers, reportField) : []
    return {
      podSelector,
      ingress: types.has('Ingress') ? rules('ingress', 'from') : undefined,
      egress: types.has('Egress') ? rules('egress', 'to') : undefined,
    }
  } catch (error) {
    reportField('spec', 'isolates every pod of the namespace', error)
    return { podSelector: [], ingress: [], egress: [] }
  }
}

/**
 * Parses the podSelector. Without its invalid requirements it selects more pods than intended. The policy must then
 * allow nothing, because it would allow that for pods it was not written for.
 */
function selectionOf(raw: unknown, reportField: ReportField): { podSelector: LabelSelector; valid: boolean } {
  let valid = true
  const podSelector = parseValidRequirements(raw, (why) => {
    valid = false
    reportField(
      'spec.podSelector',
      'selects all pods that match its other requirements, and the policy admits nothing',
      why,
    )
  })
  return { podSelector, valid }
}

/** Returns the policy types. The default is Ingress, and also Egress if there are egress rules. */
function typesOf(spec: Fields, reportField: ReportField): ReadonlySet<string> {
  const given = listOf(spec['policyTypes'])
  if (given.length === 0) return new Set(listOf(spec['egress']).length > 0 ? ['Ingress', 'Egress'] : ['Ingress'])
  const unknown = given.find((type) => type !== 'Ingress' && type !== 'Egress')
  if (unknown === undefined) return new Set(given as string[])
  reportField(
    'spec.policyTypes',
    'is read as Ingress and Egress',
    new TypeError(`Expected Ingress or Egress, got \`${shown(unknown)}\``),
  )
  return new Set(['Ingress', 'Egress'])
}

function rulesOf(raw: unknown, field: string, peersField: string, reportField: ReportField): readonly PolicyRule[] {
  return parseItems(listOf(raw), `spec.${field}`, reportField, (item, at) => {
    const rule = asFields(item)
    const [peers, ports] = [listOf(rule[peersField]), listOf(rule['ports'])]
    return Object.freeze({
      peers: peers.length === 0 ? undefined : parseItems(peers, `${at}.${peersField}`, reportField, parsePeer),
      ports: ports.length === 0 ? undefined : parseItems(ports, `${at}.ports`, reportField, parsePort),
    })
  })
}

/** Returns the items that parse. A list whose items are all invalid stays an empty list, which allows nothing. */
function parseItems<T>(
  items: readonly unknown[],
  field: string,
  reportField: ReportField,
  parse: (item: unknown, at: string) => T,
): readonly T[] {
  return Object.freeze(
    items.flatMap((item, index) => {
      const at = `${field}[${index}]`
      try {
        return [parse(item, at)]
      } catch (error) {
        reportField(at, 'admits nothing', error)
        return []
      }
    }),
  )
}

function parsePeer(raw: unknown): PolicyPeer {
  const { podSelector, namespaceSelector, ipBlock } = asFields(raw)
  if (ipBlock === undefined) {
    if (podSelector === undefined && namespaceSelector === undefined)
      throw new TypeError('Expected podSelector, namespaceSelector or ipBlock')
    const namespaces = namespaceSelector === undefined ? undefined : parseLabelSelector(namespaceSelector)
    return Object.freeze({ namespaces, pods: parseLabelSelector(podSelector ?? {}) } satisfies PodPeer)
  }
  if (podSelector !== undefined || namespaceSelector !== undefined)
    throw new TypeError('Expected ipBlock alone, without selectors beside it')
  const { cidr: text, except: texts } = asFields(ipBlock)
  const cidr = parseSloppyCidr(text)
  const except = listOf(texts).map(parseSloppyCidr)
  const outside = except.findIndex(({ network, prefix }) => prefix <= cidr.prefix || !cidrContains(cidr, network))
  if (outside >= 0)
    throw new TypeError(`Expected except to be blocks within ${asText(text)}, got \`${shown(listOf(texts)[outside])}\``)
  return Object.freeze({ cidr, except: Object.freeze(except) } satisfies BlockPeer)
}

function parsePort(raw: unknown): PolicyPort {
  const { protocol, port, endPort } = asFields(raw)
  const parsed = parseProtocol(protocol)
  if (typeof port === 'number') {
    const first = parsePortNumber(port)
    const last = endPort === undefined ? first : parsePortNumber(endPort)
    if (last < first) throw new TypeError(`Expected endPort to be ${first} or more, got \`${last}\``)
    return Object.freeze({ protocol: parsed, first, last })
  }
  if (endPort !== undefined) throw new TypeError(`Expected endPort to come with a port number, got \`${shown(port)}\``)
  if (port === undefined) return Object.freeze({ protocol: parsed, first: 0, last: 65_535 })
  return Object.freeze({ protocol: parsed, name: parseServicePortName(port) })
}
