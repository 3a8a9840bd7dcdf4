// Converts a ServiceCIDR object to the blocks from which the API server allocates ClusterIPs.
import { isDeepStrictEqual } from 'node:util'
import { type Cidr, parseCidr } from '../net/cidr.ts'
import { type KubeObject, keyOf, readObject } from './kube-object.ts'
import { parseEach } from './parse-each.ts'
import type { Report } from './problem.ts'
import { asText, listOf, shown } from './raw-values.ts'

export type ServiceCidrs = readonly Cidr[]

interface RawServiceCidr extends KubeObject {
  readonly spec?: { readonly cidrs?: readonly string[] }
}

/**
 * Projects a ServiceCIDR. One that is being deleted counts too: its addresses are in use until it is gone.
 * @throws {TypeError} when the object has no name.
 */
export function projectServiceCidr(raw: unknown, report: Report): readonly [key: string, cidrs: ServiceCidrs] {
  const object = readObject(raw, 'ServiceCIDR', report) as RawServiceCidr
  const leftOut = (text: unknown, why: string): void =>
    report(`ServiceCIDR ${keyOf(object)}: spec.cidrs \`${shown(text)}\` is left out: ${why}`, 'service-cidr')
  return [
    keyOf(object),
    parseEach(listOf(object.spec?.cidrs, 'spec.cidrs'), (text) => parseCidr(asText(text)), leftOut),
  ]
}

export function sameServiceCidrs(a: ServiceCidrs, b: ServiceCidrs): boolean {
  return isDeepStrictEqual(a, b)
}
