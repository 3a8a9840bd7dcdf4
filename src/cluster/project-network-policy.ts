// NetworkPolicy object -> ClusterNetworkPolicy, and when two are the same. A peer, a port or a rule that makes no sense
// admits nothing; a selector that makes no sense selects whatever it might; the rest of the policy counts. So no
// mistake opens a pod that the policy was to protect, and each is told of in a sentence.
import { isDeepStrictEqual } from 'node:util'
import { cidrContains } from '../net/cidr.ts'
import { withoutNulls } from './explicit-nulls.ts'
import { asKubeObject, type KubeObject, keyOf } from './kube-object.ts'
import { type LabelSelector, parseLabelSelector, parseSoundRequirements } from './label-selector.ts'
import type { BlockPeer, ClusterNetworkPolicy, PodPeer, PolicyPeer, PolicyPort, PolicyRule } from './network-policy.ts'
import type { Report } from './problem.ts'
import { asFields, asText, listOf, shown } from './raw-values.ts'
import { parsePortNumber, parseProtocol, parseServicePortName, parseSloppyCidr } from './service-fields.ts'

type Fields = Readonly<Record<string, unknown>>
/** Says of a field what the policy does without it, and why. */
type Complain = (field: string, effect: string, error: unknown) => void

const subdomain = /^(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/

/** @throws {TypeError} when the object has no name; nothing else of it is too bad to be enforced. */
export function projectNetworkPolicy(
  raw: unknown,
  report: Report,
): readonly [key: string, policy: ClusterNetworkPolicy] {
  // Null items of lists stay: each is refused below, where a peer, port or block less would admit more.
  const object = withoutNulls(asKubeObject(raw)) as KubeObject & { readonly spec?: unknown }
  const { namespace = '', name } = object.metadata
  const complain: Complain = (field, effect, error) =>
    report(
      `NetworkPolicy ${shown(keyOf(object))}: ${field} ${effect}: ${error instanceof Error ? error.message : String(error)}`,
      'policy-closed',
    )
  return [keyOf(object), Object.freeze({ namespace, name, ...contentOf(name, object.spec, complain) })]
}

/** False as soon as anything that we keep differs. */
export function samePolicy(a: ClusterNetworkPolicy, b: ClusterNetworkPolicy): boolean {
  return isDeepStrictEqual(a, b)
}

type Content = Pick<ClusterNetworkPolicy, 'podSelector' | 'ingress' | 'egress'>

function contentOf(name: string, raw: unknown, complain: Complain): Content {
  try {
    const spec = asFields(raw === undefined ? {} : raw)
    const { podSelector, sound } = selectionOf(spec['podSelector'] ?? {}, complain)
    const types = typesOf(spec, complain)
    if (!subdomain.test(name))
      complain(
        'metadata.name',
        'makes the policy admit nothing',
        new TypeError('Expected lower-case letters, digits, dashes and dots'),
      )
    const admits = sound && subdomain.test(name)
    const rules = (field: string, peers: string): readonly PolicyRule[] =>
      admits ? rulesOf(spec[field], field, peers, complain) : []
    return {
      podSelector,
      ingress: types.has('Ingress') ? rules('ingress', 'from') : undefined,
      egress: types.has('Egress') ? rules('egress', 'to') : undefined,
    }
  } catch (error) {
    complain('spec', 'is taken to isolate every pod of the namespace', error)
    return { podSelector: [], ingress: [], egress: [] }
  }
}

/**
 * More pods than it should, where we cannot tell; then the policy must not admit anything either, since it would for
 * pods that it was not made for.
 */
function selectionOf(raw: unknown, complain: Complain): { podSelector: LabelSelector; sound: boolean } {
  let sound = true
  const podSelector = parseSoundRequirements(raw, (why) => {
    sound = false
    complain(
      'spec.podSelector',
      'is taken to select all pods that its other requirements select, and the policy admits nothing',
      why,
    )
  })
  return { podSelector, sound }
}

/** Where it is not said: Ingress, and Egress if there are rules for it. */
function typesOf(spec: Fields, complain: Complain): ReadonlySet<string> {
  const given = listOf(spec['policyTypes'])
  if (given.length === 0) return new Set(listOf(spec['egress']).length > 0 ? ['Ingress', 'Egress'] : ['Ingress'])
  const unknown = given.find((type) => type !== 'Ingress' && type !== 'Egress')
  if (unknown === undefined) return new Set(given as string[])
  complain(
    'spec.policyTypes',
    'is taken for Ingress and Egress',
    new TypeError(`Expected Ingress or Egress, got \`${shown(unknown)}\``),
  )
  return new Set(['Ingress', 'Egress'])
}

function rulesOf(raw: unknown, field: string, peersField: string, complain: Complain): readonly PolicyRule[] {
  return each(listOf(raw), `spec.${field}`, complain, (item, at) => {
    const rule = asFields(item)
    const [peers, ports] = [listOf(rule[peersField]), listOf(rule['ports'])]
    return Object.freeze({
      peers: peers.length === 0 ? undefined : each(peers, `${at}.${peersField}`, complain, parsePeer),
      ports: ports.length === 0 ? undefined : each(ports, `${at}.ports`, complain, parsePort),
    })
  })
}

/** Those that parse. What does not is left out, which closes: a list that was not empty stays a list. */
function each<T>(
  items: readonly unknown[],
  field: string,
  complain: Complain,
  parse: (item: unknown, at: string) => T,
): readonly T[] {
  return Object.freeze(
    items.flatMap((item, index) => {
      const at = `${field}[${index}]`
      try {
        return [parse(item, at)]
      } catch (error) {
        complain(at, 'admits nothing', error)
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
