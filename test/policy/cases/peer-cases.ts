// Who is a peer: by labels of pods and namespaces, and by address.
import { addressOf } from '../../../src/lab/layout.ts'
import { outsiders } from '../matrix-cells.ts'
import { intoXa, named, namespaced, outOfXa, policy, type PolicyCase, xaFrom, xaTo } from './policy-case.ts'

const outside = `${outsiders['outside']}/32`
const everything = '0.0.0.0/0'
const underlay = '192.168.0.0/24'
/** Holds `elsewhere` and not `outside`. */
const upperEighth = '192.168.0.144/28'
const podNetwork = '172.30.0.0/16'

export const peerCases: readonly PolicyCase[] = [
  ['peers: all pods of the own namespace', xaFrom({ podSelector: {} })],
  ['peers: a pod of the own namespace', xaFrom({ podSelector: named('b') })],
  ['peers: out to a pod of the own namespace', xaTo({ podSelector: named('b') })],
  ['peers: all pods of a namespace', xaFrom({ namespaceSelector: namespaced('y') })],
  ['peers: out to all pods of a namespace', xaTo({ namespaceSelector: namespaced('y') })],
  ['peers: all pods of all namespaces', xaFrom({ namespaceSelector: {} })],
  ['peers: out to all pods of all namespaces', xaTo({ namespaceSelector: {} })],
  ['peers: a namespace by the name that every one is labelled with', xaFrom({ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'z' } } })],
  ['peers: several namespaces by one label', xaFrom({ namespaceSelector: { matchLabels: { team: 'blue' } } })],
  ['peers: no namespace has the label', xaFrom({ namespaceSelector: { matchLabels: { team: 'green' } } })],
  ['peers: both selectors in one entry: and', xaFrom({ namespaceSelector: namespaced('y'), podSelector: named('b') })],
  ['peers: out, both selectors in one entry: and', xaTo({ namespaceSelector: namespaced('y'), podSelector: named('b') })],
  ['peers: both selectors in two entries: or', xaFrom({ namespaceSelector: namespaced('y') }, { podSelector: named('b') })],
  ['peers: one pod of every namespace', xaFrom({ namespaceSelector: {}, podSelector: named('c') })],
  ['peers: an empty pod selector beside a namespace', xaFrom({ namespaceSelector: namespaced('z'), podSelector: {} })],
  ['peers: the same peer twice', xaFrom({ podSelector: named('b') }, { podSelector: named('b') })],
  ['peers: of all pods of a namespace, from others of it', policy('y', { ingress: [{ from: [{ podSelector: named('a') }] }] })],

  ['expressions: In', xaFrom({ namespaceSelector: { matchExpressions: [{ key: 'ns', operator: 'In', values: ['x', 'z'] }] } })],
  ['expressions: NotIn, of what has another value and of what has none', xaFrom({ namespaceSelector: { matchExpressions: [{ key: 'stage', operator: 'NotIn', values: ['live'] }] } })],
  ['expressions: Exists', xaFrom({ namespaceSelector: {}, podSelector: { matchExpressions: [{ key: 'tier', operator: 'Exists' }] } })],
  ['expressions: DoesNotExist', xaFrom({ namespaceSelector: {}, podSelector: { matchExpressions: [{ key: 'role', operator: 'DoesNotExist' }] } })],
  ['expressions: two: and', xaFrom({ namespaceSelector: { matchExpressions: [{ key: 'team', operator: 'Exists' }, { key: 'ns', operator: 'NotIn', values: ['x'] }] } })],
  ['expressions: and labels: and', xaTo({ namespaceSelector: { matchLabels: { team: 'blue' }, matchExpressions: [{ key: 'stage', operator: 'Exists' }] } })],
  ['expressions: out, NotIn, of pods', xaTo({ namespaceSelector: {}, podSelector: { matchExpressions: [{ key: 'pod', operator: 'NotIn', values: ['a', 'c'] }] } })],

  ['blocks: one address outside', xaFrom({ ipBlock: { cidr: outside } })],
  ['blocks: out to one address outside', xaTo({ ipBlock: { cidr: outside } })],
  ['blocks: a network, except a part', xaFrom({ ipBlock: { cidr: underlay, except: [upperEighth] } })],
  ['blocks: out to a network, except a part', xaTo({ ipBlock: { cidr: underlay, except: [upperEighth] } })],
  ['blocks: with host bits', xaFrom({ ipBlock: { cidr: '192.168.0.147/28' } })],
  ['blocks: everything', xaFrom({ ipBlock: { cidr: everything } })],
  ['blocks: out to everything but the pods', xaTo({ ipBlock: { cidr: everything, except: [podNetwork] } })],
  ['blocks: everything but a network, and a part of that again', xaFrom({ ipBlock: { cidr: everything, except: [underlay] } }, { ipBlock: { cidr: upperEighth } })],
  ['blocks: except everything', xaFrom({ ipBlock: { cidr: underlay, except: ['192.168.0.0/25', '192.168.0.128/25'] } })],
  ['blocks: overlapping, in one rule', xaTo({ ipBlock: { cidr: underlay } }, { ipBlock: { cidr: '192.168.0.128/25' } }, { ipBlock: { cidr: '192.168.0.150/32' } })],
  ['blocks: an exception within another', xaFrom({ ipBlock: { cidr: everything, except: [underlay, upperEighth] } })],
  ['blocks: an exception is for its own entry alone', xaFrom({ ipBlock: { cidr: everything, except: [podNetwork] } }, { podSelector: named('b') })],
  ['blocks: pods by their addresses', xaFrom({ ipBlock: { cidr: podNetwork } })],
  ['blocks: out to pods by their addresses', xaTo({ ipBlock: { cidr: podNetwork } })],
  ['blocks: of no family of ours', xaFrom({ ipBlock: { cidr: 'fd00::/8' } })],
  ['blocks: out to a node', xaTo({ ipBlock: { cidr: `${addressOf('node2')}/32` } })],
  ['blocks: with a port', intoXa({ ingress: [{ from: [{ ipBlock: { cidr: underlay } }], ports: [{ port: 81 }] }] })],
  ['blocks: out, with a port and except', outOfXa({ egress: [{ to: [{ ipBlock: { cidr: underlay, except: [outside] } }], ports: [{ protocol: 'UDP', port: 80 }] }] })],
]
