// Which ports: by number, range, protocol and name.
import type { Peer, Port } from '../network-policy.ts'
import { intoXa, named, namespaced, outOfXa, policy, type PolicyCase } from './policy-case.ts'

const at = (...ports: Port[]) => intoXa({ ingress: [{ ports }] })
const outAt = (...ports: Port[]) => outOfXa({ egress: [{ ports }] })
const outToAt = (to: readonly Peer[], ...ports: Port[]) => outOfXa({ egress: [{ to, ports }] })

export const portCases: readonly PolicyCase[] = [
  ['ports: a number is of TCP', at({ port: 80 })],
  ['ports: a UDP port', at({ protocol: 'UDP', port: 81 })],
  ['ports: an SCTP port', at({ protocol: 'SCTP', port: 80 })],
  ['ports: out to a number', outAt({ port: 81 })],
  ['ports: out to an SCTP port', outAt({ protocol: 'SCTP', port: 81 })],
  ['ports: all of TCP', at({ protocol: 'TCP' })],
  ['ports: all of UDP', at({ protocol: 'UDP' })],
  ['ports: out to all of SCTP', outAt({ protocol: 'SCTP' })],
  ['ports: several: or', at({ port: 80 }, { protocol: 'UDP', port: 81 }, { protocol: 'SCTP' })],
  ['ports: one that nobody listens on', at({ port: 8080 })],
  ['ports: the Service has another number, the pod counts', outAt({ port: 8080 })],
  ['ports: with a peer', intoXa({ ingress: [{ from: [{ namespaceSelector: namespaced('y') }], ports: [{ port: 80 }] }] })],

  ['ranges: both ports', at({ port: 80, endPort: 81 })],
  ['ranges: its last port', at({ port: 1, endPort: 80 })],
  ['ranges: its first port', at({ port: 81, endPort: 65_535 })],
  ['ranges: of one port', at({ protocol: 'UDP', port: 80, endPort: 80 })],
  ['ranges: out, of SCTP', outAt({ protocol: 'SCTP', port: 81, endPort: 90 })],
  ['ranges: overlapping', at({ port: 70, endPort: 80 }, { port: 75, endPort: 80 }, { port: 80 })],

  ['names: the same number in all pods', policy('y', { ingress: [{ ports: [{ port: 'serve-80-tcp' }] }] })],
  ['names: another number in each pod', policy('x', { ingress: [{ ports: [{ port: 'web' }] }] })],
  ['names: with UDP, which one pod has', policy('x', { ingress: [{ ports: [{ protocol: 'UDP', port: 'web' }] }] })],
  ['names: of another protocol', at({ protocol: 'UDP', port: 'serve-80-tcp' })],
  ['names: of SCTP', at({ protocol: 'SCTP', port: 'serve-81-sctp' })],
  ['names: that no pod has', at({ port: 'nowhere' })],
  ['names: out, looked up at each peer', outToAt([{ namespaceSelector: {} }], { port: 'web' })],
  ['names: out, at peers by label', outToAt([{ namespaceSelector: namespaced('y'), podSelector: named('b') }], { port: 'web' }, { protocol: 'UDP', port: 'serve-81-udp' })],
  ['names: out, without peers', outAt({ port: 'web' })],
  ['names: out to a block, which has none', outToAt([{ ipBlock: { cidr: '0.0.0.0/0' } }], { port: 'web' })],
  ['names: out to a block and to pods', outToAt([{ ipBlock: { cidr: '0.0.0.0/0' } }, { podSelector: {} }], { port: 'web' })],
  ['names: into pods from a block', intoXa({ ingress: [{ from: [{ ipBlock: { cidr: '192.168.0.0/24' } }], ports: [{ port: 'web' }] }] })],
  ['names: beside a number', policy('x', { ingress: [{ ports: [{ port: 'web' }, { port: 80 }] }] })],

  ['whole: a database that only clients of its own namespace reach, and that reaches nothing', policy('z', { podSelector: { matchLabels: { tier: 'data' } }, policyTypes: ['Ingress', 'Egress'], ingress: [{ from: [{ podSelector: { matchLabels: { role: 'client' } } }], ports: [{ port: 80 }] }] })],
  ['whole: each namespace for itself', ...['x', 'y', 'z'].map((ns) => policy(ns, { policyTypes: ['Ingress', 'Egress'], ingress: [{ from: [{ podSelector: {} }] }], egress: [{ to: [{ podSelector: {} }] }] }))],
  ['whole: nothing but one port of one pod for all, out and in', ...['x', 'y', 'z'].map((ns) => policy(ns, { policyTypes: ['Ingress', 'Egress'], ingress: [{ ports: [{ protocol: 'UDP', port: 80 }] }], egress: [{ to: [{ namespaceSelector: {}, podSelector: named('b') }], ports: [{ protocol: 'UDP' }] }] }))],
]
