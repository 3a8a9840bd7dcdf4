import { expect, test } from 'vitest'
import { parseCidr } from '../net/cidr.ts'
import { formerAddresses } from './former-addresses.ts'
import { scratchAttachment } from './scratch-attachment.ts'

const pods = [scratchAttachment('a'), scratchAttachment('b')]

test('pods of the podCIDR that the node has, whatever its size, are not told of', () => {
  expect(formerAddresses([], [parseCidr('10.244.3.0/24')])).toBeUndefined()
  for (const block of ['10.244.1.0/24', '10.244.0.0/16'])
    expect(formerAddresses(pods, [parseCidr('fd00::/64'), parseCidr(block)])).toBeUndefined()
})

test('those of one that it had are, once for all of them', () => {
  const sentence =
    "Pods with addresses of 10.244.1.0/24, which this node's podCIDR 10.244.3.0/24 has replaced, are reached from no other node: delete them, so that they come back with new ones"
  expect(formerAddresses(pods, [parseCidr('10.244.3.0/24')])).toBe(sentence)
})
