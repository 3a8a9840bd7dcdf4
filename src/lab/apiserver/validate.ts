// Validates objects before they are stored: names, and the fields that the lab acts on. Each problem is one sentence
// with its field, in the real server's words.
import { canonicalAddress } from '../../net/address.ts'
import { parseCidr, parseInterfaceAddress } from '../../net/cidr.ts'
import { type Fields, isFields, type KubeObject, listOfFields, textAt } from './kube-object.ts'
import {
  deployments,
  endpointSlices,
  namespaces,
  networkPolicies,
  nodes,
  pods,
  type Resource,
  services,
} from './resources.ts'
import { invalid, type StatusCause } from './status-error.ts'

const subdomain = /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/
const label = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/
const serviceName = /^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/

/**
 * Checks an object.
 * @param previous the stored object, for fields that must not change; undefined for a creation.
 * @throws StatusError 422 that names every invalid field.
 */
export function validate(resource: Resource, object: KubeObject, previous: KubeObject | undefined): void {
  const causes: StatusCause[] = []
  const report: ReportField = (field, message) =>
    void causes.push({
      reason: message.startsWith('Required') ? 'FieldValueRequired' : 'FieldValueInvalid',
      field,
      message,
    })
  validateMetadata(resource, object, report)
  const spec = object.spec ?? {}
  if (resource === pods) validatePodSpec(spec, 'spec', report)
  else if (resource === services) validateService(spec, report)
  else if (resource === deployments) validateDeployment(spec, report)
  else if (resource === nodes) validateNode(spec, report)
  else if (resource === networkPolicies) validatePolicy(spec, report)
  else if (resource === endpointSlices) validateSlice(object, report)
  if (previous !== undefined)
    for (const field of immutableFields(resource)) validateUnchanged(field, object, previous, report)
  if (causes.length > 0) throw invalid(resource, object.metadata.name, causes)
}

type ReportField = (field: string, message: string) => void

const dns1035Rule =
  'a DNS-1035 label must consist of at most 63 lower case alphanumeric characters or "-", ' +
  'start with a letter and end with an alphanumeric character'
const labelRule =
  'a lowercase RFC 1123 label must consist of at most 63 lower case alphanumeric characters or "-", ' +
  'and must start and end with an alphanumeric character'
const subdomainRule =
  'a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, "-" or ".", ' +
  'and must start and end with an alphanumeric character'
const labelValueRule =
  'a label must be at most 63 alphanumeric characters, "-", "_" or ".", ' +
  'and must start and end with an alphanumeric character'

function validateMetadata(resource: Resource, { metadata }: KubeObject, report: ReportField): void {
  const { name } = metadata
  if (resource.group === 'rbac.authorization.k8s.io') {
    if (/[/%]/.test(name) || name === '.' || name === '..')
      report('metadata.name', `Invalid value: "${name}": may not be "." or "..", nor contain "/" or "%"`)
  } else if (resource === services) {
    if (!serviceName.test(name)) report('metadata.name', `Invalid value: "${name}": ${dns1035Rule}`)
  } else if (resource === namespaces) {
    if (!label.test(name)) report('metadata.name', `Invalid value: "${name}": ${labelRule}`)
  } else if (!subdomain.test(name)) {
    report('metadata.name', `Invalid value: "${name}": ${subdomainRule}`)
  }
  const labels: Fields = metadata.labels ?? {}
  for (const [key, value] of Object.entries(labels)) {
    if (typeof value !== 'string' || !/^([A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?)?$/.test(value))
      report(`metadata.labels.${key}`, `Invalid value: ${JSON.stringify(value)}: ${labelValueRule}`)
  }
}

function validatePodSpec(spec: Fields, path: string, report: ReportField): void {
  const containers = listOfFields(spec['containers'])
  if (containers.length === 0) report(`${path}.containers`, 'Required value: a pod needs at least one container')
  for (const [i, container] of containers.entries()) {
    const name = textAt(container, 'name')
    if (name === '') report(`${path}.containers[${i}].name`, 'Required value')
    else if (!label.test(name))
      report(
        `${path}.containers[${i}].name`,
        `Invalid value: "${name}": a container's name must be a lowercase RFC 1123 label`,
      )
    if (textAt(container, 'image') === '') report(`${path}.containers[${i}].image`, 'Required value')
    for (const [j, port] of listOfFields(container['ports']).entries()) {
      validatePort(port['containerPort'], `${path}.containers[${i}].ports[${j}].containerPort`, report)
      if (port['hostPort'] !== undefined && port['hostPort'] !== 0)
        validatePort(port['hostPort'], `${path}.containers[${i}].ports[${j}].hostPort`, report)
    }
  }
}

function validateService(spec: Fields, report: ReportField): void {
  const type = textAt(spec, 'type')
  if (!['ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName'].includes(type))
    report(
      'spec.type',
      `Unsupported value: "${type}": supported values: "ClusterIP", "ExternalName", "LoadBalancer", "NodePort"`,
    )
  if (type === 'ExternalName')
    return void (textAt(spec, 'externalName') === '' && report('spec.externalName', 'Required value'))
  const ports = listOfFields(spec['ports'])
  if (ports.length === 0 && spec['clusterIP'] !== 'None') report('spec.ports', 'Required value')
  const names = new Set<string>()
  for (const [i, port] of ports.entries()) {
    const name = textAt(port, 'name')
    validatePort(port['port'], `spec.ports[${i}].port`, report)
    if (name === '' && ports.length > 1) report(`spec.ports[${i}].name`, 'Required value: several ports need names')
    else if (names.has(name)) report(`spec.ports[${i}].name`, `Duplicate value: "${name}"`)
    names.add(name)
    validateProtocol(port, `spec.ports[${i}].protocol`, report)
  }
}

function validateDeployment(spec: Fields, report: ReportField): void {
  const { selector, template } = spec
  if (!isFields(selector)) return report('spec.selector', 'Required value')
  if (!isFields(template)) return report('spec.template', 'Required value')
  const labels =
    isFields(template['metadata']) && isFields(template['metadata']['labels']) ? template['metadata']['labels'] : {}
  const wanted = isFields(selector['matchLabels']) ? selector['matchLabels'] : {}
  if (Object.entries(wanted).some(([key, value]) => labels[key] !== value))
    report('spec.template.metadata.labels', 'Invalid value: `selector` does not match template `labels`')
  if (typeof spec['replicas'] !== 'number' || spec['replicas'] < 0)
    report('spec.replicas', `Invalid value: ${textAt(spec, 'replicas')}: must be greater than or equal to 0`)
  validatePodSpec(isFields(template['spec']) ? template['spec'] : {}, 'spec.template.spec', report)
}

function validateNode(spec: Fields, report: ReportField): void {
  const cidrs = Array.isArray(spec['podCIDRs']) ? spec['podCIDRs'] : []
  for (const [i, cidr] of cidrs.entries()) validateCidr(cidr, `spec.podCIDRs[${i}]`, report)
  if (spec['podCIDR'] !== undefined && spec['podCIDR'] !== (cidrs[0] ?? spec['podCIDR']))
    report('spec.podCIDRs', 'Invalid value: podCIDRs[0] must be podCIDR')
}

function validatePolicy(spec: Fields, report: ReportField): void {
  for (const [direction, side] of [
    ['ingress', 'from'],
    ['egress', 'to'],
  ] as const) {
    for (const [i, rule] of listOfFields(spec[direction]).entries()) {
      for (const [j, peer] of listOfFields(rule[side]).entries()) {
        const path = `spec.${direction}[${i}].${side}[${j}]`
        const block = peer['ipBlock']
        if (Object.keys(peer).length === 0) report(path, 'Required value: must specify a peer')
        if (!isFields(block)) continue
        if (peer['podSelector'] !== undefined || peer['namespaceSelector'] !== undefined)
          report(path, 'Forbidden: may not specify both ipBlock and another peer')
        // Host bits are allowed, because existing clusters have such policies.
        validateCidr(block['cidr'], `${path}.ipBlock.cidr`, report, parseInterfaceAddress)
        if (Array.isArray(block['except']))
          for (const [k, except] of block['except'].entries())
            validateCidr(except, `${path}.ipBlock.except[${k}]`, report, parseInterfaceAddress)
      }
      for (const [j, port] of listOfFields(rule['ports']).entries())
        validateProtocol(port, `spec.${direction}[${i}].ports[${j}].protocol`, report)
    }
  }
}

function validateSlice(object: KubeObject, report: ReportField): void {
  const type = textAt(object, 'addressType')
  if (!['IPv4', 'IPv6', 'FQDN'].includes(type))
    report('addressType', `Unsupported value: "${type}": supported values: "IPv4", "IPv6", "FQDN"`)
  for (const [i, endpoint] of listOfFields(object['endpoints']).entries()) {
    const addresses = Array.isArray(endpoint['addresses']) ? endpoint['addresses'] : []
    if (addresses.length === 0) report(`endpoints[${i}].addresses`, 'Required value: must contain at least 1 address')
    if (type !== 'FQDN')
      for (const [j, address] of addresses.entries())
        if (canonicalAddress(String(address)) === undefined)
          report(`endpoints[${i}].addresses[${j}]`, `Invalid value: "${String(address)}": must be a valid IP address`)
  }
}

function validatePort(value: unknown, field: string, report: ReportField): void {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 1 || value > 65_535)
    report(field, `Invalid value: ${JSON.stringify(value) ?? 'nothing'}: must be between 1 and 65535, inclusive`)
}

function validateProtocol(port: Fields, field: string, report: ReportField): void {
  const protocol = textAt(port, 'protocol')
  if (!['TCP', 'UDP', 'SCTP'].includes(protocol))
    report(field, `Unsupported value: "${protocol}": supported values: "SCTP", "TCP", "UDP"`)
}

function validateCidr(
  value: unknown,
  field: string,
  report: ReportField,
  parse: (text: string) => unknown = parseCidr,
): void {
  try {
    parse(String(value))
  } catch (error) {
    report(field, `Invalid value: "${String(value)}": ${(error as Error).message}`)
  }
}

/** Returns the fields that may be set once and not changed afterwards. */
function immutableFields(resource: Resource): readonly string[] {
  if (resource === nodes) return ['spec.podCIDR']
  if (resource === pods) return ['spec.nodeName']
  return resource === endpointSlices ? ['addressType'] : []
}

function validateUnchanged(field: string, object: KubeObject, previous: KubeObject, report: ReportField): void {
  const was = textAt(previous, field)
  if (was !== '' && was !== textAt(object, field))
    report(field, `Forbidden: may not be changed once set (it is "${was}")`)
}
