import fc from 'fast-check'
import { expect, test } from 'vitest'
import { hostVethName } from '../net/interface-name.ts'
import { setAlias } from '../kernel/link-changes.ts'
import { aliasOf, parseAlias, type VethOwner } from './veth-alias.ts'

const label = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/)
const owner: fc.Arbitrary<VethOwner> = fc.record({
  pod: fc.option(fc.record({ namespace: label, name: label, uid: fc.option(fc.uuid(), { nil: undefined }) }), {
    nil: undefined,
  }),
  network: fc.option(fc.stringMatching(/^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,20}$/), { nil: undefined }),
  containerId: fc.stringMatching(/^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,63}$/),
})
const veth = (containerId: string) => ({ hostInterface: hostVethName(containerId, 'eth0'), podInterface: 'eth0' })

test('an alias says whose the veth is, and passes the batch line unchanged', () => {
  fc.assert(
    fc.property(owner, (given) => {
      const { hostInterface } = veth(given.containerId ?? '')
      const alias = aliasOf(given)
      expect(setAlias(hostInterface, alias).line).toBe(`link set ${hostInterface} alias ${alias}`)
      expect(parseAlias(alias, veth(given.containerId ?? ''))).toEqual(given)
    }),
  )
})

test('the names of a pod are left out where the kernel would not take them all', () => {
  const containerId = 'c'.repeat(128)
  const alias = aliasOf({
    pod: { namespace: 'n'.repeat(63), name: 'p'.repeat(253), uid: undefined },
    network: 'fairlead',
    containerId,
  })
  expect(alias).toBe(`///fairlead/${containerId}`)
  expect(parseAlias(alias, veth(containerId))).toEqual({ pod: undefined, network: 'fairlead', containerId })
})

test.each([
  ['nothing', undefined],
  ["another program's", 'uplink to rack 4'],
  ['that of another veth', aliasOf({ pod: undefined, network: 'fairlead', containerId: 'other' })],
  ['a pod that no cluster has', '-/Ä/u/fairlead/c1'],
])('%s is no owner', (_, alias) => {
  expect(parseAlias(alias, veth('c1'))).toBeUndefined()
})
