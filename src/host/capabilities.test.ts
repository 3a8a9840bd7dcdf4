import { expect, test } from 'vitest'
import { capabilityProblems } from './capabilities.ts'

test('capabilities that are not effective are named, with what each is for', () => {
  expect(capabilityProblems('Name:\tnode\nCapEff:\t000001ffffffffff\n', ['filter'])).toEqual([])
  expect(capabilityProblems('CapEff:\t0000000000203000\n', ['filter'])).toEqual([])
  expect(capabilityProblems('CapPrm:\t000001ffffffffff\nCapEff:\t0000000000202000\n', ['filter'])).toEqual([
    'This process lacks the capabilities NET_ADMIN (to change links, routes and rules): what it cannot change stays as it is; give its container those that deploy/base lists',
  ])
  expect(capabilityProblems('CapEff:\t0000000000000000\n', [])).toEqual([
    expect.stringContaining(
      'NET_ADMIN (to change links, routes and rules), NET_RAW (to speak to iptables-legacy), SYS_ADMIN',
    ),
  ])
})

test('without NET_RAW, tables of iptables-legacy are told of: their node may be taken for one on nft', () => {
  const withoutRaw = 'CapEff:\t0000000000201000\n'
  expect(capabilityProblems(withoutRaw, [])).toHaveLength(1)
  expect(capabilityProblems(withoutRaw, ['mangle', 'filter'])[1]).toMatch(
    /^This node has rules in iptables-legacy \(tables mangle, filter\), .*; give the container NET_RAW/,
  )
})
