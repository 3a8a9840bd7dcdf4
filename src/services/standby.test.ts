import { expect, test } from 'vitest'
import { missingStandby, standbyJumps, standbyRemovals } from './standby.ts'

test('each jump of table nat has a second one with other words, which an agent has to keep alive', () => {
  expect(standbyJumps(4).map(({ base, target }) => `${base} ${target}`)).toEqual([
    'PREROUTING KUBE-SERVICES',
    'OUTPUT KUBE-SERVICES',
    'POSTROUTING KUBE-POSTROUTING',
  ])
  expect(standbyJumps(4)[0]?.rule).toBe(
    '-m comment --comment "while fairlead runs" -m recent --rcheck --seconds 120 --name FAIRLEAD --mask 0.0.0.0 --rsource -j KUBE-SERVICES',
  )
  expect(standbyJumps(6)[0]?.rule).toContain(' --mask :: ')
})

test('only those that are missing are appended, and those that are there are removed as they are printed', () => {
  const printed = '-m recent --rcheck -m comment --comment "while fairlead runs" -j KUBE-SERVICES'
  const observed = new Map([
    ['PREROUTING', ['-j KUBE-SERVICES', printed]],
    ['OUTPUT', ['-j KUBE-SERVICES']],
  ])
  expect(missingStandby(4, observed)).toEqual(
    standbyJumps(4)
      .slice(1)
      .map(({ base, rule }) => `-A ${base} ${rule}`),
  )
  expect(standbyRemovals(observed)).toEqual([`-D PREROUTING ${printed}`])
})
