import { expect, test } from 'vitest'
import { isSameRule } from './canonical-rule.ts'

test.each([
  [
    '-d 10.96.0.9/32 -p tcp -m tcp --dport 80 -m comment --comment "a b" -j X',
    '-d 10.96.0.9/32 -p tcp -m comment --comment "a b" -m tcp --dport 80 -j X',
    true,
  ],
  [
    '-s 10.1.0.5/32 -m comment --comment "ns/s" -j KUBE-MARK-MASQ',
    '-s 10.1.0.5 -m comment --comment ns/s -j KUBE-MARK-MASQ',
    true,
  ],
  ['! -s 10.0.0.0/8 -d 10.96.0.9/32 -j X', '-d 10.96.0.9/32 ! -s 10.0.0.0/8 -j X', true],
  ['! -s 10.0.0.0/8 -d 10.96.0.9/32 -j X', '-s 10.0.0.0/8 ! -d 10.96.0.9/32 -j X', false],
  ['-m conntrack ! --ctstate NEW -j DROP', '-m conntrack --ctstate NEW -j DROP', false],
  ['-d 10.0.0.0/8 -g KUBE-SVC-CIP-0A', '-d 10.0.0.0/8 -j KUBE-SVC-CIP-0A', false],
  ['-m comment --comment "a -j DROP" -j ACCEPT', '-m comment --comment "a -j ACCEPT" -j DROP', false],
])('%s and %s', (one, other, same) => {
  expect([isSameRule(one, other), isSameRule(other, one)]).toEqual([same, same])
})
