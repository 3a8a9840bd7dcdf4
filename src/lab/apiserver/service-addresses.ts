// Allocates ClusterIPs and node ports. The API server itself does so when it stores a Service.
import { type Address, canonicalAddress, familyOf } from '../../net/address.ts'
import { type Cidr, cidrSize, nthAddress } from '../../net/cidr.ts'
import { type Fields, type KubeObject, keyOf, listOfFields, textAt } from './kube-object.ts'
import { services } from './resources.ts'
import { invalid } from './status-error.ts'
import type { Table } from './store.ts'
import type { StoredObject } from './stored-object.ts'

const nodePorts = { first: 30_000, last: 32_767 }

export class ServiceAddresses {
  readonly #cidrs: readonly Cidr[]
  /**
   * The key of the Service that holds an address ("10.254.1.1") or a node port ("TCP 30080"). Updated with the table.
   */
  readonly #holders = new Map<string, string>()
  /** Where the search for a free address begins. A freed address is reused only after all others were allocated. */
  readonly #cursors = new Map<Cidr, bigint>()
  #portCursor = nodePorts.first

  constructor(cidrs: readonly Cidr[], table: Table) {
    this.#cidrs = cidrs
    table.onEvent(({ before, after }) => {
      for (const held of heldBy(before)) this.#holders.delete(held)
      for (const held of heldBy(after)) if (after !== undefined) this.#holders.set(held, after.key)
    })
  }

  /**
   * Allocates what the draft leaves open, and keeps what the stored Service has.
   * @throws StatusError 422 for an address or port that another Service holds.
   */
  assign(draft: KubeObject, previous: KubeObject | undefined): void {
    const spec = (draft.spec ??= {})
    if (spec['type'] === 'ExternalName') {
      for (const field of ['clusterIP', 'clusterIPs', 'ipFamilies', 'ipFamilyPolicy']) delete spec[field]
    } else {
      this.#assignClusterIps(draft, spec, previous?.spec ?? {})
    }
    this.#assignNodePorts(draft, spec, previous?.spec ?? {})
  }

  #assignClusterIps(draft: KubeObject, spec: Fields, before: Fields): void {
    const requested =
      Array.isArray(spec['clusterIPs']) && spec['clusterIPs'].length > 0
        ? spec['clusterIPs'].map(String)
        : [textAt(spec, 'clusterIP')].filter(Boolean)
    const kept =
      before['type'] !== 'ExternalName' && Array.isArray(before['clusterIPs']) ? before['clusterIPs'].map(String) : []
    const wanted = requested.length > 0 ? requested : kept
    const blocks = this.#blocksFor(draft, spec)
    spec['ipFamilyPolicy'] = textAt(spec, 'ipFamilyPolicy') || 'SingleStack'
    spec['ipFamilies'] = blocks.map(({ family }) => `IPv${family}`)
    if (wanted[0] === 'None') {
      spec['clusterIP'] = 'None'
      spec['clusterIPs'] = ['None']
      return
    }
    if (kept.length > 0 && wanted[0] !== kept[0])
      reject(draft, 'spec.clusterIPs[0]', `Invalid value: "${wanted[0]}": may not change once set`)
    const addresses = blocks.map((block, i) => wanted[i] ?? this.#freeAddress(draft, block))
    for (const [i, address] of addresses.entries()) {
      const holder = this.#holders.get(
        canonicalAddress(address) ??
          reject(draft, `spec.clusterIPs[${i}]`, `Invalid value: "${address}": must be a valid IP address`),
      )
      if (holder !== undefined && holder !== ownKey(draft))
        reject(draft, `spec.clusterIPs[${i}]`, `Invalid value: "${address}": provided IP is already allocated`)
    }
    spec['clusterIP'] = addresses[0]
    spec['clusterIPs'] = addresses
  }

  /** Returns one block for each family of the Service, in its order. */
  #blocksFor(draft: KubeObject, spec: Fields): Cidr[] {
    const [primary] = this.#cidrs
    if (primary === undefined) throw new TypeError('Expected at least one service CIDR, got none')
    const policy = textAt(spec, 'ipFamilyPolicy')
    const named = Array.isArray(spec['ipFamilies']) ? spec['ipFamilies'].map(String) : []
    const requested = canonicalAddress(textAt(spec, 'clusterIP'))
    if (named.length === 0) named.push(`IPv${requested === undefined ? primary.family : familyOf(requested)}`)
    if (policy === 'PreferDualStack' || policy === 'RequireDualStack')
      for (const { family } of this.#cidrs) if (!named.includes(`IPv${family}`)) named.push(`IPv${family}`)
    if (policy === 'RequireDualStack' && named.length < 2)
      reject(
        draft,
        'spec.ipFamilyPolicy',
        'Invalid value: "RequireDualStack": this cluster is not configured for dual-stack services',
      )
    const blocks = named.map(
      (name, i) =>
        this.#cidrs.find(({ family }) => name === `IPv${family}`) ??
        reject(draft, `spec.ipFamilies[${i}]`, `Invalid value: "${name}": not configured on this cluster`),
    )
    return policy === '' || policy === 'SingleStack' ? blocks.slice(0, 1) : blocks
  }

  #freeAddress(draft: KubeObject, block: Cidr): Address {
    const size = cidrSize(block)
    // Like the real allocator, reserve the first min(max(16, size / 16), 256) addresses for Services that request one.
    const sixteenth = size / 16n
    const reserved = sixteenth < 16n ? 16n : sixteenth
    const first = (reserved > 256n ? 256n : reserved) + 1n
    const start = this.#cursors.get(block) ?? first
    for (let tried = 0n; tried < size - first - 1n; tried++) {
      const index = first + ((start - first + tried) % (size - first - 1n))
      const address = nthAddress(block, index)
      if (this.#holders.has(address)) continue
      this.#cursors.set(block, index + 1n)
      return address
    }
    return reject(draft, 'spec.clusterIPs', 'Invalid value: no free address is left in the service CIDR')
  }

  #assignNodePorts(draft: KubeObject, spec: Fields, before: Fields): void {
    const exposed =
      spec['type'] === 'NodePort' ||
      (spec['type'] === 'LoadBalancer' && spec['allocateLoadBalancerNodePorts'] !== false)
    const old = listOfFields(before['ports'])
    for (const [i, port] of listOfFields(spec['ports']).entries()) {
      if (!exposed && spec['type'] !== 'LoadBalancer') delete port['nodePort']
      if (!exposed) continue
      const same = old.find((other) => other['port'] === port['port'] && other['protocol'] === port['protocol'])
      port['nodePort'] = port['nodePort'] || same?.['nodePort'] || this.#freePort(draft, textAt(port, 'protocol'))
      const held = `${textAt(port, 'protocol')} ${textAt(port, 'nodePort')}`
      const holder = this.#holders.get(held)
      if (holder !== undefined && holder !== ownKey(draft))
        reject(
          draft,
          `spec.ports[${i}].nodePort`,
          `Invalid value: ${textAt(port, 'nodePort')}: provided port is already allocated`,
        )
      const number = Number(port['nodePort'])
      if (number < nodePorts.first || number > nodePorts.last)
        reject(
          draft,
          `spec.ports[${i}].nodePort`,
          `Invalid value: ${number}: provided port is not in the valid range. ` +
            `The range of valid ports is ${nodePorts.first}-${nodePorts.last}`,
        )
    }
    const hasHealthCheck = spec['type'] === 'LoadBalancer' && spec['externalTrafficPolicy'] === 'Local'
    if (hasHealthCheck)
      spec['healthCheckNodePort'] =
        spec['healthCheckNodePort'] || before['healthCheckNodePort'] || this.#freePort(draft, 'TCP')
    else delete spec['healthCheckNodePort']
  }

  #freePort(draft: KubeObject, protocol: string): number {
    const count = nodePorts.last - nodePorts.first + 1
    for (let tried = 0; tried < count; tried++) {
      const port = nodePorts.first + ((this.#portCursor - nodePorts.first + tried) % count)
      if (this.#holders.has(`${protocol} ${port}`)) continue
      this.#portCursor = port + 1
      return port
    }
    return reject(draft, 'spec.ports', 'Invalid value: no free node port is left')
  }
}

/** Returns the keys of the addresses and ports that a Service holds. */
function heldBy(stored: StoredObject | undefined): string[] {
  const spec = stored?.object.spec ?? {}
  const addresses = Array.isArray(spec['clusterIPs'])
    ? spec['clusterIPs'].map((address) => canonicalAddress(String(address)) ?? '')
    : []
  const ports = listOfFields(spec['ports']).map((port) =>
    port['nodePort'] === undefined ? '' : `${textAt(port, 'protocol')} ${textAt(port, 'nodePort')}`,
  )
  const healthCheck = spec['healthCheckNodePort'] === undefined ? '' : `TCP ${textAt(spec, 'healthCheckNodePort')}`
  return [...addresses, ...ports, healthCheck].filter(Boolean)
}

function ownKey({ metadata }: KubeObject): string {
  return keyOf(metadata.namespace, metadata.name)
}

function reject(draft: KubeObject, field: string, message: string): never {
  throw invalid(services, draft.metadata.name, [{ reason: 'FieldValueInvalid', field, message }])
}
