// A named row of the matrix: policies that are in force together.
import type { NetworkPolicy, Peer, PolicySpec, Selector } from '../network-policy.ts'

export type PolicyCase = [name: string, ...policies: NetworkPolicy[]]

let count = 0

export function policy(namespace: string, spec: PolicySpec): NetworkPolicy {
  return { namespace, name: `case-${++count}`, spec }
}

/** The pods of that name, wherever the selector is applied. */
export function named(pod: string): Selector {
  return { matchLabels: { pod } }
}

export function namespaced(ns: string): Selector {
  return { matchLabels: { ns } }
}

/** Ingress of x/a alone. */
export function intoXa(spec: Omit<PolicySpec, 'podSelector'>): NetworkPolicy {
  return policy('x', { podSelector: named('a'), policyTypes: ['Ingress'], ...spec })
}

/** Egress of x/a alone. */
export function outOfXa(spec: Omit<PolicySpec, 'podSelector'>): NetworkPolicy {
  return policy('x', { podSelector: named('a'), policyTypes: ['Egress'], ...spec })
}

export function xaFrom(...from: Peer[]): NetworkPolicy {
  return intoXa({ ingress: [{ from }] })
}

export function xaTo(...to: Peer[]): NetworkPolicy {
  return outOfXa({ egress: [{ to }] })
}
