import { readdirSync, readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { NormalForms, parseLine, parseRule, splitLine } from './parse-rule.ts'
import { commentOf, formatRule, optionOf, quoteWord, unquoteWord } from './rule.ts'

/** Rules that real programs have written, as iptables-save printed them. */
const printed = [
  '-s 10.0.0.1/32 -m comment --comment "name: \\"old\\" id: \\"one\\"" -j CNI-000000000000000000000001',
  '-m comment --comment -j -j ACCEPT',
  '-p tcp -m multiport --dports 22,79:81 -j REJECT --reject-with tcp-reset',
  '! -i lo -o eth+ -p icmp -m icmp --icmp-type 8 -j ACCEPT',
  '-p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu',
  '-m set --match-set KUBE-SRC src,dst -m mark ! --mark 0x1/0x1 -g OTHER',
  '-m limit --limit 5/min -j LOG --log-prefix "drop: " --log-level 7',
  '-m addrtype ! --dst-type LOCAL -j RETURN',
  '-p udp -m u32 --u32 "0x0>>0x16&0x3c@0x4=0x1"',
  '-f -j DROP',
  '',
]

function goldenRules(): string[] {
  const directory = new URL('../services/golden/', import.meta.url)
  return readdirSync(directory).flatMap((file) =>
    readFileSync(new URL(file, directory), 'utf8')
      .split('\n')
      .flatMap((line) => splitLine(line)?.rule ?? []),
  )
}

test('a rule that was read is written back word for word', () => {
  for (const text of [...printed, ...goldenRules()]) expect(formatRule(parseRule(text))).toBe(text)
})

test('a rule is split into matches and a target', () => {
  expect(parseRule('! -s 10.0.0.0/8 -p tcp -m comment --comment "a b" -m tcp --dport 80 -g X')).toEqual({
    matches: [
      { module: '', options: [{ name: '-s', value: '10.0.0.0/8', negated: true }] },
      { module: '', options: [{ name: '-p', value: 'tcp', negated: false }] },
      { module: 'comment', options: [{ name: '--comment', value: '"a b"', negated: false }] },
      { module: 'tcp', options: [{ name: '--dport', value: '80', negated: false }] },
    ],
    target: { verb: 'goto', name: 'X', options: [] },
  })
  const dnat = parseRule('-p tcp -j DNAT --to-destination 10.1.0.1:80 --random')
  expect([optionOf(dnat, '--to-destination'), optionOf(dnat, '--random'), optionOf(dnat, '--mark')]).toEqual([
    '10.1.0.1:80',
    '',
    undefined,
  ])
})

test('a comment says nothing about the rule, whatever it holds', () => {
  const rule = parseRule(String.raw`-m comment --comment "a \"b\" -j DROP" -j ACCEPT`)
  expect([rule.target?.name, commentOf(rule)]).toEqual(['ACCEPT', 'a "b" -j DROP'])
  fc.assert(
    fc.property(fc.stringMatching(/^[\w "'\\/:;.()-]{1,40}$/), (text) => {
      const about = parseRule(`-m comment --comment ${quoteWord(text)} -j ACCEPT`)
      expect([commentOf(about), about.target?.name, unquoteWord(quoteWord(text))]).toEqual([text, 'ACCEPT', text])
    }),
  )
})

test('lines of a print are chains, rules with or without counters, or neither', () => {
  expect([
    splitLine(':KUBE-SERVICES - [0:0]'),
    splitLine('-A OUTPUT -j X'),
    splitLine('-A EMPTY'),
    splitLine('COMMIT'),
    splitLine('-P INPUT ACCEPT'),
  ]).toEqual([
    { chain: 'KUBE-SERVICES', rule: undefined },
    { chain: 'OUTPUT', rule: '-j X' },
    { chain: 'EMPTY', rule: '' },
    undefined,
    undefined,
  ])
  expect(parseLine('-A KUBE-SVC-X -m comment --comment "a" -c 7 420 -j KUBE-SEP-Y')).toEqual({
    chain: 'KUBE-SVC-X',
    packets: 7,
    rule: parseRule('-m comment --comment "a" -j KUBE-SEP-Y'),
  })
  expect(parseLine(':X - [0:0]')).toBeUndefined()
})

describe('two prints of one rule', () => {
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
    const forms = new NormalForms()
    expect([forms.same(one, other), forms.same(other, one)]).toEqual([same, same])
  })

  test('what an iptables was seen to print for a rule is that rule from then on, and no other', () => {
    const forms = new NormalForms()
    const [written, ownWay] = ['-m mark --mark 0x2000/0x2000 -j RETURN', '-m mark --mark 8192/8192 -j RETURN']
    expect(forms.same(written, ownWay)).toBe(false)
    expect([forms.learn(written, ownWay), forms.learn(written, ownWay)]).toEqual([true, false])
    expect([forms.same(written, ownWay), forms.same(ownWay, written)]).toEqual([true, false])
    expect(forms.sameAll([written, written], [ownWay, written])).toBe(true)
    expect(forms.sameAll([written], [ownWay, written])).toBe(false)
  })
})
