import { describe, expect, test } from 'vitest'
import { parseAddress } from '../net/address.ts'
import { type WalkedPacket, walkRules } from './interpreter.ts'
import { parseLine, parseRule } from './parse-rule.ts'
import type { Rule } from './rule.ts'

const own = ['192.168.0.21', '172.30.0.1']
const packet: WalkedPacket = {
  source: parseAddress('172.30.0.4'),
  destination: parseAddress('10.254.1.1'),
  protocol: 'tcp',
  port: 80,
  inDevice: 'cni0',
  isOwn: (address) => own.includes(address),
  mark: 0,
  translated: false,
}

/** Chains as `iptables -S` prints them. */
function chainsOf(text: string): Map<string, Rule[]> {
  const parsed = text.split('\n').flatMap((line) => parseLine(line) ?? [])
  const groups = Map.groupBy(parsed, ({ chain }) => chain)
  return new Map([...groups].map(([chain, lines]) => [chain, lines.map(({ rule }) => rule)]))
}

/** Each end with its chance, and the chains whose rules did it. */
function ends(text: string, changes: Partial<WalkedPacket> = {}, policy?: 'drop'): string[] {
  const { ways } = walkRules(chainsOf(text), 'BASE', { ...packet, ...changes }, policy)
  return ways.map(({ end, chance, mark, met }) =>
    [
      `${'to' in end ? end.to : end.kind} ${chance.toFixed(2)}`,
      mark === 0 ? '' : ` mark 0x${mark.toString(16)}`,
      ` (${met.map(({ chain }) => chain).join(' ')})`,
    ].join(''),
  )
}

const service = `
-A BASE -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A KUBE-SERVICES -d 10.254.1.1/32 -p tcp -m comment --comment "shop/web cluster IP" -m tcp --dport 80 -j KUBE-SVC-W
-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
-A KUBE-SVC-W ! -s 172.30.0.0/16 -d 10.254.1.1/32 -p tcp -m comment --comment "shop/web cluster IP" -m tcp --dport 80 -j KUBE-MARK-MASQ
-A KUBE-SVC-W -m comment --comment "shop/web -> 172.30.0.2:8080" -m statistic --mode random --probability 0.33333333349 -j KUBE-SEP-1
-A KUBE-SVC-W -m comment --comment "shop/web -> 172.30.0.3:8080" -m statistic --mode random --probability 0.50000000000 -j KUBE-SEP-2
-A KUBE-SVC-W -m comment --comment "shop/web -> 172.30.1.2:8080" -j KUBE-SEP-3
-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
-A KUBE-SEP-1 -p tcp -m tcp -j DNAT --to-destination 172.30.0.2:8080
-A KUBE-SEP-2 -p tcp -m tcp -j DNAT --to-destination 172.30.0.3:8080
-A KUBE-SEP-3 -p tcp -m tcp -j DNAT --to-destination 172.30.1.2:8080
-A KUBE-NODEPORTS -p tcp -m tcp --dport 30080 -j KUBE-SVC-W
`

describe('a Service', () => {
  test('each endpoint gets its share, by the rules that lead to it', () => {
    expect(ends(service)).toEqual(
      ['1', '2', '3'].map(
        (n) =>
          expect.stringMatching(
            new RegExp(`^172\\.30\\.\\d\\.\\d:8080 0\\.33 \\(BASE KUBE-SERVICES KUBE-SVC-W KUBE-SEP-${n}\\)$`),
          ) as string,
      ),
    )
  })
  test('what comes from elsewhere is marked, and the rule that did it is told', () => {
    expect(ends(service, { source: parseAddress('192.168.0.100') })[0]).toBe(
      '172.30.0.2:8080 0.33 mark 0x4000 (BASE KUBE-SERVICES KUBE-SVC-W KUBE-MARK-MASQ KUBE-SVC-W KUBE-SEP-1)',
    )
  })
  test('a node port is one of the node itself', () => {
    expect(ends(service, { destination: parseAddress('192.168.0.21'), port: 30080 })).toHaveLength(3)
    expect(ends(service, { destination: parseAddress('192.168.0.22'), port: 30080 })).toEqual(['through 1.00 ()'])
  })
})

test.each<[string, string, Partial<WalkedPacket>, string]>([
  [
    'what only passed through a chain has met nothing',
    '-A BASE -j A\n-A A -s 1.2.3.4/32 -j DROP',
    {},
    'through 1.00 ()',
  ],
  [
    'a comment is no condition',
    '-A BASE -m comment --comment "-s 1.2.3.4/32 -j DROP" -j ACCEPT',
    {},
    'accept 1.00 (BASE)',
  ],
  [
    'a goto comes back past its caller',
    '-A BASE -j A\n-A BASE -j DROP\n-A A -g B\n-A A -j ACCEPT\n-A B -s 1.2.3.4/32 -j ACCEPT',
    {},
    'drop 1.00 (BASE)',
  ],
  ['RETURN', '-A BASE -j A\n-A BASE -j DROP\n-A A -j RETURN\n-A A -j ACCEPT', {}, 'drop 1.00 (BASE)'],
  ['a device by its beginning', '-A BASE -i cni+ -o eth0 -j DROP', { outDevice: 'eth0' }, 'drop 1.00 (BASE)'],
  ['a device that is another', '-A BASE -i cni0 -o eth+ -j DROP', { outDevice: 'fairlead.1' }, 'through 1.00 ()'],
  [
    'a mark and its mask',
    '-A BASE -m mark --mark 0x4000/0x4000 -j MASQUERADE',
    { mark: 0x6000 },
    'masquerade 1.00 mark 0x6000 (BASE)',
  ],
  [
    'a mark taken away',
    '-A BASE -m mark --mark 0x2000/0x2000 -j MARK --set-xmark 0x0/0x2000\n-A BASE -m mark ! --mark 0x2000/0x2000 -j ACCEPT',
    { mark: 0x2000 },
    'accept 1.00 (BASE BASE)',
  ],
  [
    'a new connection, translated',
    '-A BASE -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n-A BASE -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP',
    { translated: true },
    'through 1.00 ()',
  ],
  [
    'ports and ranges',
    '-A BASE -p tcp -m multiport --dports 22,79:81 -j REJECT --reject-with tcp-reset',
    {},
    'reject 1.00 (BASE)',
  ],
  ['another family', '-A BASE -d fd00::/8 -j DROP', {}, 'through 1.00 ()'],
])('%s', (_, text, changes, end) => {
  expect(ends(text, changes)).toEqual([end])
})

test('the policy of a chain takes what comes to its end', () => {
  expect(ends('-A BASE -s 1.2.3.4/32 -j ACCEPT', {}, 'drop')).toEqual(['drop 1.00 (BASE)'])
  expect(ends('-A BASE -s 172.30.0.0/16 -j ACCEPT', {}, 'drop')).toEqual(['accept 1.00 (BASE)'])
})

test('of a Service with many endpoints, all chains are asked for at once', () => {
  const rules = Array.from(
    { length: 200 },
    (_, i) => `-A BASE -m statistic --mode random --probability ${(1 / (200 - i)).toFixed(11)} -j KUBE-SEP-${i}`,
  )
  expect(walkRules(chainsOf(rules.join('\n')), 'BASE', packet).missing.size).toBe(200)
})

test('chains that were not given are asked for, and conditions that are not understood are told', () => {
  const { missing, doubtful } = walkRules(
    chainsOf('-A BASE -m owner --uid-owner 0 -j DROP\n-A BASE -j OTHER'),
    'BASE',
    packet,
  )
  expect([...missing]).toEqual(['OTHER'])
  expect(doubtful).toEqual([{ chain: 'BASE', rule: parseRule('-m owner --uid-owner 0 -j DROP'), share: 0 }])
})

test('a walk tells which chains it entered and how many rules it compared', () => {
  const walk = walkRules(
    chainsOf('-A BASE -d 1.2.3.4/32 -j A\n-A BASE -j B\n-A BASE -j C\n-A B -j RETURN'),
    'BASE',
    packet,
  )
  expect([walk.entered, walk.compared, [...walk.missing]]).toEqual([['B', 'C'], 4, ['C']])
})
