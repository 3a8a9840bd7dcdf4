import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseAddress } from '../net/address.ts'
import { defaultOptions, type ServicesOptions } from './options.ts'
import { fatesOf, type Packet } from './packet-walk.ts'
import { renderSnapshot } from './render-snapshot.ts'
import { at, exposed, local, nodes, remote, type Scenario, scenarios, service, slice, snapshotOf } from './scenarios.ts'
import { tableText } from './table-text.ts'

function render(scenario: Scenario) {
  return renderSnapshot(snapshotOf({ ...scenario, options: { ...scenario.options, layout: 'flat' } }))
}

function rulesOf(scenario: Scenario) {
  return render(scenario).rules
}

test.each(Object.entries(scenarios))('the rules of %s', async (name, scenario) => {
  const { rules, problems } = render(scenario)
  await expect(`${problems.map(({ sentence }) => `# ${sentence}\n`).join('')}${tableText(rules)}`).toMatchFileSnapshot(
    `golden/${name}.rules`,
  )
})

test.each(Object.entries(scenarios))('%s: every jump leads somewhere, and every chain is led to', (_, scenario) => {
  const {
    rules: { filter, nat },
    problems,
  } = render(scenario)
  const builtIn = new Set(['ACCEPT', 'DROP', 'REJECT', 'RETURN', 'MARK', 'MASQUERADE', 'DNAT'])
  for (const chains of [filter, nat]) {
    const targets = new Set(
      [...chains.values()]
        .flat()
        .flatMap(({ target }) => target?.name ?? [])
        .filter((target) => !builtIn.has(target)),
    )
    for (const target of targets) expect([...chains.keys()]).toContain(target)
    for (const chain of chains.keys()) {
      expect(chain.length).toBeLessThanOrEqual(28)
    }
    // The chains of a port that lost its frontend to another Service stay: it may yet get it.
    const ofPorts =
      problems.length > 0 ? [] : [...chains.keys()].filter((chain) => /^KUBE-(SVC|SVL|SEP|EXT|FW)-/.test(chain))
    for (const chain of ofPorts) expect(targets).toContain(chain)
  }
})

describe('where the first packet of a connection goes', () => {
  const own = ['192.168.0.21', '10.244.1.1', '127.0.0.1'].map(parseAddress)
  const clients = {
    pod: { source: parseAddress('10.244.1.6'), device: 'cni0' },
    node: { source: parseAddress('192.168.0.21'), device: undefined },
    outside: { source: parseAddress('203.0.113.9'), device: 'eth0' },
  }
  const destinations = {
    'cluster IP': ['10.254.0.10', 80],
    'node port': ['192.168.0.21', 30_080],
    'load balancer': ['192.168.0.200', 80],
    'external IP': ['192.168.0.150', 80],
    'localhost node port': ['127.0.0.1', 30_080],
  } as const
  const endpoints = { '10.244.1.5:8080': 'L', '10.244.2.7:8080': 'R' } as Record<string, string>

  /** "LR masq": both endpoints, with the node's address. */
  function seen(scenario: Scenario, from: keyof typeof clients, to: keyof typeof destinations): string {
    const [destination, port] = destinations[to]
    const packet: Packet = { ...clients[from], destination: parseAddress(destination), port, protocol: 'tcp', own }
    const fates = [...fatesOf(rulesOf(scenario), packet).values()]
    expect(fates.reduce((sum, { chance }) => sum + chance, 0)).toBeCloseTo(1, 9)
    const ends = fates.map(({ fate }) => endpoints[fate.end] ?? fate.end).toSorted()
    const masqueraded = new Set(fates.map(({ fate }) => fate.masqueraded))
    expect(masqueraded.size).toBe(1)
    return `${ends.join('')}${masqueraded.has(true) ? ' masq' : ''}`
  }

  const pair = slice([local, remote])
  const detected = (
    spec: Record<string, unknown>,
    changed: Partial<ServicesOptions> = {},
    endpoints = pair,
  ): Scenario => ({ objects: [exposed(spec), endpoints], options: changed })
  const columns = {
    plain: {},
    externalLocal: { externalTrafficPolicy: 'Local' },
    internalLocal: { internalTrafficPolicy: 'Local' },
  }

  // kube-proxy's own flow tests (reference 2.4).
  test.each([
    ['pod', 'cluster IP', 'LR', 'LR', 'L'],
    ['pod', 'node port', 'LR masq', 'LR', 'LR masq'],
    ['pod', 'load balancer', 'LR masq', 'LR', 'LR masq'],
    ['pod', 'external IP', 'LR masq', 'LR', 'LR masq'],
    ['node', 'cluster IP', 'LR masq', 'LR masq', 'L masq'],
    ['node', 'node port', 'LR masq', 'LR masq', 'LR masq'],
    ['node', 'load balancer', 'LR masq', 'LR masq', 'LR masq'],
    ['node', 'localhost node port', 'LR masq', 'LR masq', 'LR masq'],
    ['outside', 'cluster IP', 'LR masq', 'LR masq', 'L masq'],
    ['outside', 'node port', 'LR masq', 'L', 'LR masq'],
    ['outside', 'load balancer', 'LR masq', 'L', 'LR masq'],
    ['outside', 'external IP', 'LR masq', 'L', 'LR masq'],
  ] as const)('%s to %s', (from, to, plain, externalLocal, internalLocal) => {
    expect(seen(detected(columns.plain), from, to)).toBe(plain)
    expect(seen(detected(columns.externalLocal), from, to)).toBe(externalLocal)
    expect(seen(detected(columns.internalLocal), from, to)).toBe(internalLocal)
  })

  test.each(['pod', 'node', 'outside'] as const)(
    '%s to cluster IP, everything masqueraded or nothing told apart',
    (from) => {
      expect(seen(detected({}, { masqueradeAll: true }), from, 'cluster IP')).toBe('LR masq')
      expect(seen(detected({}, { detectLocal: defaultOptions.detectLocal }), from, 'cluster IP')).toBe('LR')
    },
  )

  test('a pod that cannot be told from others does not take the short way', () => {
    expect(seen(detected(columns.externalLocal, { detectLocal: defaultOptions.detectLocal }), 'pod', 'node port')).toBe(
      'L',
    )
  })

  test.each(['pod', 'node', 'outside'] as const)('%s: nobody anywhere is refused, nobody here is dropped', (from) => {
    const nobody = detected({}, {}, slice([]))
    expect(seen(nobody, from, 'cluster IP')).toBe('REJECT')
    // KUBE-EXTERNAL-SERVICES does not hang in OUTPUT: what the node itself sends to an address that is not its own
    // leaves the node.
    expect(seen(nobody, from, 'load balancer')).toBe(from === 'node' ? 'untouched' : 'REJECT')
    expect(seen(detected({ internalTrafficPolicy: 'Local' }, {}, slice([remote])), from, 'cluster IP')).toBe('DROP')
    const away = detected({ externalTrafficPolicy: 'Local' }, {}, slice([remote]))
    const short = { pod: 'R', node: 'R masq', outside: 'DROP' }
    expect(seen(away, from, 'load balancer')).toBe(short[from])
    expect(seen(away, from, 'node port')).toBe(short[from])
  })

  test('only clients within the source ranges reach the load balancer, and any client the node port', () => {
    const outside = detected({ loadBalancerSourceRanges: ['198.51.100.0/24'] })
    expect(seen(outside, 'outside', 'load balancer')).toBe('DROP')
    expect(seen(outside, 'outside', 'node port')).toBe('LR masq')
    expect(seen(detected({ loadBalancerSourceRanges: ['203.0.113.0/24'] }), 'outside', 'load balancer')).toBe('LR masq')
  })

  test("a pod that draws itself gets the node's address, and no other pod does", () => {
    const packet: Packet = {
      source: parseAddress('10.244.1.5'),
      device: 'cni0',
      destination: parseAddress('10.254.0.10'),
      port: 80,
      protocol: 'tcp',
      own,
    }
    const fates = [...fatesOf(rulesOf(detected({})), packet).values()].map(({ fate }) => fate)
    expect(fates).toEqual(
      expect.arrayContaining([
        { end: '10.244.1.5:8080', masqueraded: true },
        { end: '10.244.2.7:8080', masqueraded: false },
      ]),
    )
  })

  test('each of any number of endpoints is as likely as the others', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 60 }), (count) => {
        const endpoints = Array.from({ length: count }, (_, i) => at(`10.244.2.${i + 1}`, 'worker-2'))
        const packet: Packet = {
          ...clients.pod,
          destination: parseAddress('10.254.0.10'),
          port: 80,
          protocol: 'tcp',
          own,
        }
        const fates = [...fatesOf(rulesOf({ objects: [service(), slice(endpoints)] }), packet).values()]
        expect(fates).toHaveLength(count)
        for (const { chance } of fates) expect(chance).toBeCloseTo(1 / count, 7)
      }),
    )
  })
})

test('the order in which Services, slices and endpoints are known makes no difference', () => {
  const everything = Object.values(scenarios)
    .filter(({ family }) => family === undefined)
    .flatMap(({ objects }, i) => objects.map((object) => inNamespace(object, `ns${i}`)))
  const expected = render({ objects: everything })
  const shuffled = fc.shuffledSubarray(everything, { minLength: everything.length })
  fc.assert(
    fc.property(shuffled, fc.boolean(), (objects, reversed) => {
      const turned = reversed
        ? objects.map((object) => ({
            ...object,
            ...(Array.isArray(object['endpoints']) ? { endpoints: object['endpoints'].toReversed() as unknown } : {}),
          }))
        : objects
      const { rules, problems } = render({ objects: turned })
      expect(problems).toEqual(expected.problems)
      expect(rules).toEqual(expected.rules)
    }),
    { numRuns: 20 },
  )
})

test('a table of each family knows nothing of the other', () => {
  const v6 = tableText(rulesOf({ ...scenarios['dual-stack-ipv6']!, family: 6 }))
  expect(v6).not.toMatch(/\d+\.\d+\.\d+\.\d+/)
  expect(tableText(rulesOf(scenarios['dual-stack-ipv4']!))).not.toContain('fd00')
  expect(nodes[6].family).toBe(6)
})

function inNamespace(object: Record<string, unknown>, namespace: string): Record<string, unknown> {
  return { ...object, metadata: { ...(object['metadata'] as object), namespace } }
}
