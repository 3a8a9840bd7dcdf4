import { expect, test } from 'vitest'
import { parseAddress } from '../net/address.ts'
import { ProtectedPorts } from './protected-ports.ts'

const [one, two] = ['192.168.0.21', 'fd00::22'].map(parseAddress)
const needed = new ProtectedPorts([
  { neededBy: 'the VXLAN', protocol: 'udp', port: 8472, addresses: [one!, two!], onThisNode: true },
  { neededBy: 'the API server', protocol: 'tcp', port: 6443, addresses: [one!], onThisNode: false },
  { neededBy: 'another', protocol: 'tcp', port: 6443, addresses: [one!], onThisNode: true },
])

test.each([
  [one, 'udp', 8472, 'the VXLAN'],
  [two, 'udp', 8472, 'the VXLAN'],
  [undefined, 'udp', 8472, 'the VXLAN'],
  // Another protocol, port or address.
  [one, 'tcp', 8472, undefined],
  [one, 'udp', 8473, undefined],
  [parseAddress('192.168.0.23'), 'udp', 8472, undefined],
  // Of two that need one place the first is named.
  [one, 'tcp', 6443, 'the API server'],
  [undefined, 'tcp', 6443, 'another'],
] as const)('%s %s %i is needed by: %s', (address, protocol, port, by) => {
  expect(needed.neededBy(address, protocol, port)).toBe(by)
  expect(ProtectedPorts.none.neededBy(address, protocol, port)).toBeUndefined()
})
