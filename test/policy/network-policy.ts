// A NetworkPolicy as its author writes it: what is left out is left out.

export type Labels = Readonly<Record<string, string>>
export type Protocol = 'TCP' | 'UDP' | 'SCTP'
export type Direction = 'Ingress' | 'Egress'

export interface Requirement {
  readonly key: string
  readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist'
  readonly values?: readonly string[]
}

export interface Selector {
  readonly matchLabels?: Labels
  readonly matchExpressions?: readonly Requirement[]
}

export interface Peer {
  readonly podSelector?: Selector
  readonly namespaceSelector?: Selector
  readonly ipBlock?: { readonly cidr: string; readonly except?: readonly string[] }
}

export interface Port {
  readonly protocol?: Protocol
  readonly port?: number | string
  readonly endPort?: number
}

export interface IngressRule {
  readonly from?: readonly Peer[]
  readonly ports?: readonly Port[]
}

export interface EgressRule {
  readonly to?: readonly Peer[]
  readonly ports?: readonly Port[]
}

export interface PolicySpec {
  readonly podSelector?: Selector
  readonly policyTypes?: readonly Direction[]
  readonly ingress?: readonly IngressRule[]
  readonly egress?: readonly EgressRule[]
}

export interface NetworkPolicy {
  readonly namespace: string
  readonly name: string
  readonly spec: PolicySpec
}

export function manifestOf({ namespace, name, spec }: NetworkPolicy): object {
  return { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { namespace, name }, spec }
}
