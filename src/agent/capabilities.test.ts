import { expect, test } from 'vitest'
import { missingCapabilities } from './capabilities.ts'

test('capabilities that are not effective are named, with what each is for', () => {
  expect(missingCapabilities('Name:\tnode\nCapEff:\t000001ffffffffff\n')).toBeUndefined()
  expect(missingCapabilities('CapEff:\t0000000000203000\n')).toBeUndefined()
  expect(missingCapabilities('CapPrm:\t000001ffffffffff\nCapEff:\t0000000000202000\n')).toBe('This process lacks the capabilities NET_ADMIN (to change links, routes and rules): what it cannot change stays as it is; give its container those that deploy/base lists')
  expect(missingCapabilities('CapEff:\t0000000000000000\n')).toContain('NET_ADMIN (to change links, routes and rules), NET_RAW (to speak to iptables-legacy), SYS_ADMIN')
})
