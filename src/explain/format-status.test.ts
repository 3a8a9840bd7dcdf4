import { expect, test } from 'vitest'
import { agentStatusShape } from '../agent/status-shape.ts'
import { formatStatus } from './format-status.ts'

const agent = {
  node: 'a',
  api: 'https://192.168.0.10:6443',
  podNetwork: true,
  overlay: 'vxlan',
  vxlanPort: 8472,
  vxlanDevice: 'fairlead.1',
  bridge: 'cni0',
  cniConfDir: '/etc/cni/net.d',
  healthAddress: '0.0.0.0:10256',
  missing: [],
  problems: [],
  peers: 1,
  attachments: 0,
  nodes: [],
  watches: [],
  serviceAddresses: [],
  idlePolicies: [],
}

test.each([
  ['10.244.1.0/24', 253, 3, 1, '10.244.1.0/24: 3 used, 1 resting, 249 free'],
  ['fd00:1::/112', 65_533, 0, 0, 'fd00:1::/112: 0 used, 0 resting, 65533 free'],
  ['fd00:1::/96', 2 ** 32 - 3, 1, 0, 'fd00:1::/96: 1 used, 0 resting, 4294967292 free'],
  ['fd00:1::/72', 2 ** 56, 5, 0, 'fd00:1::/72: 5 used, 0 resting, about 2^56 free'],
  ['fd00:1::/64', Number(2n ** 64n - 3n), 5, 2, 'fd00:1::/64: 5 used, 2 resting, about 2^64 free'],
  ['fd00::/48', Number(2n ** 80n), 0, 0, 'fd00::/48: 0 used, 0 resting, about 2^80 free'],
])('prints the sizes of pool %s as people know them', (podCidr, size, used, resting, line) => {
  const status = agentStatusShape.parse({ ...agent, pools: [{ podCidr, size, used, resting }] })
  expect(formatStatus(status, 0).split('\n')).toContain(`  ${line}`)
})
