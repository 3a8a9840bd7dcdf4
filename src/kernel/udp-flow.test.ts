import { expect, test } from 'vitest'
import { parseUdpFlow } from './udp-flow.ts'

const translated = {
  source: '192.168.0.9',
  sourcePort: 40_001,
  destination: '192.168.0.21',
  destinationPort: 5353,
  replySource: '10.244.1.5',
  replySourcePort: 53,
}

test.each([
  [
    'answered',
    'udp      17 118 src=192.168.0.9 dst=192.168.0.21 sport=40001 dport=5353 src=10.244.1.5 dst=192.168.0.9 sport=53 dport=40001 [ASSURED] mark=0 use=1',
  ],
  [
    'not answered',
    'udp      17 28 src=192.168.0.9 dst=192.168.0.21 sport=40001 dport=5353 [UNREPLIED] src=10.244.1.5 dst=192.168.0.9 sport=53 dport=40001 mark=0 use=1',
  ],
  [
    'with counters (nf_conntrack_acct)',
    'udp      17 28 src=192.168.0.9 dst=192.168.0.21 sport=40001 dport=5353 packets=2 bytes=60 src=10.244.1.5 dst=192.168.0.9 sport=53 dport=40001 packets=2 bytes=70 mark=0 secctx=system_u:object_r:zone_t:s0 use=2',
  ],
  [
    'offloaded, which has no timeout',
    'udp      17 src=192.168.0.9 dst=192.168.0.21 sport=40001 dport=5353 src=10.244.1.5 dst=192.168.0.9 sport=53 dport=40001 [OFFLOAD] mark=0 use=2',
  ],
])('reads a flow that is %s', (_, line) => {
  expect(parseUdpFlow(line)).toEqual(translated)
})

test('reads IPv6 in canonical text', () => {
  expect(
    parseUdpFlow(
      'udp      17 28 src=fd00::9 dst=fd00::21 sport=1 dport=2 [UNREPLIED] src=::ffff:1.2.3.4 dst=fd00::9 sport=3 dport=1 mark=0 use=1',
    ),
  ).toMatchObject({ source: 'fd00::9', destination: 'fd00::21', replySource: '::ffff:102:304' })
})

test.each([
  [
    'another zone',
    'src=1.1.1.1 dst=2.2.2.2 sport=1 dport=53 src=3.3.3.3 dst=1.1.1.1 sport=53 dport=1 mark=0 zone=5 use=1',
  ],
  [
    'a zone of one direction',
    'src=1.1.1.1 dst=2.2.2.2 sport=1 dport=53 zone-orig=7 src=3.3.3.3 dst=1.1.1.1 sport=53 dport=1 mark=0 use=1',
  ],
])('passes over an entry of %s', (_, tuple) => {
  expect(parseUdpFlow(`udp      17 28 ${tuple}`)).toBeUndefined()
  expect(parseUdpFlow(`udp      17 28 ${tuple.replace(/ zone\S*/, '')}`)).toBeDefined()
})

test.each([
  'tcp      6 431999 ESTABLISHED src=1.1.1.1 dst=2.2.2.2 sport=1 dport=53 src=2.2.2.2 dst=1.1.1.1 sport=53 dport=1 [ASSURED] mark=0 use=1',
  'udp      17 28 src=1.1.1.1 dst=2.2.2.2 sport=1 dport=53',
  'conntrack v1.4.7 (conntrack-tools): 3 flow entries have been shown.',
  '',
])('passes over `%s`', (line) => {
  expect(parseUdpFlow(line)).toBeUndefined()
})
