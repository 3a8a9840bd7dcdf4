// Which pods a policy selects, in which directions it isolates them, and how several policies add up.
import { intoXa, named, namespaced, outOfXa, policy, type PolicyCase, xaFrom, xaTo } from './policy-case.ts'

export const isolationCases: readonly PolicyCase[] = [
  ['selection: an empty selector is all pods of the namespace', policy('x', { podSelector: {} })],
  ['selection: no selector is all pods of the namespace', policy('x', {})],
  ['selection: by label', policy('x', { podSelector: named('b') })],
  ['selection: by two labels, of which pods have one', policy('x', { podSelector: { matchLabels: { pod: 'b', role: 'server' } } })],
  ['selection: by a label that no pod has', policy('x', { podSelector: { matchLabels: { app: 'nothing' } } })],
  ['selection: by expressions', policy('y', { podSelector: { matchExpressions: [{ key: 'role', operator: 'In', values: ['server', 'client'] }] } })],
  ['selection: by labels and expressions', policy('y', { podSelector: { matchLabels: { role: 'server' }, matchExpressions: [{ key: 'tier', operator: 'NotIn', values: ['data'] }] } })],
  ['selection: pods that lack a label', policy('z', { podSelector: { matchExpressions: [{ key: 'role', operator: 'DoesNotExist' }] } })],
  ['selection: the same selector in another namespace is another policy', policy('y', { podSelector: named('a') })],

  ['types: neither said, no rules: ingress', policy('x', { podSelector: named('a') })],
  ['types: neither said, ingress rules: ingress', policy('x', { podSelector: named('a'), ingress: [{ from: [{ podSelector: {} }] }] })],
  ['types: neither said, egress rules: both', policy('x', { podSelector: named('a'), egress: [{ to: [{ podSelector: {} }] }] })],
  ['types: ingress, with egress rules that count for nothing', intoXa({ egress: [{ to: [{ podSelector: {} }] }] })],
  ['types: egress, with ingress rules that count for nothing', outOfXa({ ingress: [{ from: [{ podSelector: {} }] }] })],
  ['types: both, no rules', policy('x', { policyTypes: ['Ingress', 'Egress'] })],
  ['types: egress, no rules', policy('z', { policyTypes: ['Egress'] })],
  ['types: both, all allowed', policy('x', { policyTypes: ['Ingress', 'Egress'], ingress: [{}], egress: [{}] })],

  ['rules: an empty list of ingress rules', intoXa({ ingress: [] })],
  ['rules: an empty list of egress rules', outOfXa({ egress: [] })],
  ['rules: an empty ingress rule', intoXa({ ingress: [{}] })],
  ['rules: an empty egress rule', outOfXa({ egress: [{}] })],
  ['rules: empty lists within a rule', intoXa({ ingress: [{ from: [], ports: [] }] })],
  ['rules: an empty list of ports, and a peer', intoXa({ ingress: [{ from: [{ podSelector: named('b') }], ports: [] }] })],
  ['rules: an empty list of peers, and a port', intoXa({ ingress: [{ from: [], ports: [{ port: 80 }] }] })],
  ['rules: two, each with its peer and port', intoXa({ ingress: [{ from: [{ podSelector: named('b') }], ports: [{ port: 80 }] }, { from: [{ namespaceSelector: namespaced('y') }], ports: [{ port: 81, protocol: 'UDP' }] }] })],

  ['union: default deny and one that allows', policy('x', {}), xaFrom({ podSelector: named('b') })],
  ['union: two that allow different peers', xaFrom({ podSelector: named('b') }), xaFrom({ namespaceSelector: namespaced('z') })],
  ['union: two that allow different ports to the same peer', intoXa({ ingress: [{ from: [{ podSelector: {} }], ports: [{ port: 80 }] }] }), intoXa({ ingress: [{ from: [{ podSelector: {} }], ports: [{ port: 81 }] }] })],
  ['union: allow all beside default deny', policy('y', {}), policy('y', { ingress: [{}] })],
  ['union: one selects all, one a few', policy('z', { ingress: [{ from: [{ podSelector: {} }] }] }), policy('z', { podSelector: named('c'), ingress: [{ from: [{ namespaceSelector: namespaced('x') }] }] })],
  ['union: ingress of one, egress of another', intoXa({ ingress: [{ from: [{ podSelector: named('b') }] }] }), outOfXa({ egress: [{ to: [{ podSelector: named('c') }] }] })],

  ['both sides: egress allowed, ingress not', xaTo({ namespaceSelector: namespaced('y') }), policy('y', {})],
  ['both sides: ingress allowed, egress not', policy('x', { policyTypes: ['Egress'] }), policy('y', { ingress: [{ from: [{ namespaceSelector: namespaced('x') }] }] })],
  ['both sides: allowed by both', policy('x', { policyTypes: ['Egress'], egress: [{ to: [{ namespaceSelector: namespaced('y') }] }] }), policy('y', { ingress: [{ from: [{ namespaceSelector: namespaced('x') }] }] })],
  ['both sides: each allows another port', policy('x', { policyTypes: ['Egress'], egress: [{ ports: [{ port: 80 }] }] }), policy('y', { ingress: [{ ports: [{ port: 81 }] }] })],
  ['both sides: within one namespace, in and out', policy('x', { policyTypes: ['Ingress', 'Egress'], ingress: [{ from: [{ podSelector: named('b') }] }], egress: [{ to: [{ podSelector: named('a') }] }] })],
  ['everything closed', ...['x', 'y', 'z'].map((ns) => policy(ns, { policyTypes: ['Ingress', 'Egress'] }))],
]
