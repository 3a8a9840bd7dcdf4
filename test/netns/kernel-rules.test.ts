import { expect, test } from 'vitest'
import { parseAddress } from '../../src/net/address.ts'
import { formatCidr } from '../../src/net/cidr.ts'
import type { UdpFlow } from '../../src/kernel/udp-flow.ts'
import { describeKernel, scratchNamespace, wire } from './scratch.ts'
import { insertEntry } from './udp-clients.ts'

const good = [
  '*nat',
  ':FAIRLEAD-TEST - [0:0]',
  '-A FAIRLEAD-TEST -p tcp -m comment --comment "one two" -j RETURN',
  'COMMIT',
  '',
].join('\n')

describeKernel('iptables rules', () => {
  test.each([
    { backend: 'nft', family: 4 },
    { backend: 'nft', family: 6 },
    { backend: 'legacy', family: 4 },
    { backend: 'legacy', family: 6 },
  ] as const)(
    '$backend, IPv$family: all of a restore or nothing, and what is at fault is quoted',
    async ({ backend, family }) => {
      await using ns = await scratchNamespace({ iptables: backend })
      const { iptables } = ns
      expect(await iptables.rulesOf(family, 'nat', 'FAIRLEAD-TEST')).toBeUndefined()
      await iptables.restore(family, good)
      const rules = ['-N FAIRLEAD-TEST', '-A FAIRLEAD-TEST -p tcp -m comment --comment "one two" -j RETURN']
      expect(await iptables.rulesOf(family, 'nat', 'FAIRLEAD-TEST')).toEqual(rules)
      expect(await iptables.rulesOf(family, 'nat', 'OUTPUT')).toEqual(['-P OUTPUT ACCEPT'])
      expect(await iptables.rulesOf(family, 'filter', 'FAIRLEAD-TEST')).toBeUndefined()

      const bad = [
        '*nat',
        ':FAIRLEAD-TEST - [0:0]',
        '-A FAIRLEAD-TEST -j ACCEPT',
        '-A FAIRLEAD-TEST --bogus',
        'COMMIT',
        '',
      ].join('\n')
      await expect(iptables.restore(family, bad)).rejects.toMatchObject({
        kind: 'usage',
        message: expect.stringContaining('[line 4: -A FAIRLEAD-TEST --bogus]'),
      })
      // The kernel refuses it only when all else is parsed: REJECT does not stand in nat.
      const refused = bad.replace('--bogus', '-j REJECT')
      await expect(iptables.restore(family, refused)).rejects.toMatchObject({
        stderr: expect.stringMatching(/line \d/),
      })
      expect(await iptables.rulesOf(family, 'nat', 'FAIRLEAD-TEST')).toEqual(rules)

      // Chains that are not named stay as they are; one that is declared again is emptied first.
      await iptables.restore(family, good.replaceAll('FAIRLEAD-TEST', 'FAIRLEAD-OTHER'))
      await iptables.restore(family, '*nat\n:FAIRLEAD-OTHER - [0:0]\n-X FAIRLEAD-OTHER\nCOMMIT\n')
      expect(await iptables.rulesOf(family, 'nat', 'FAIRLEAD-TEST')).toEqual(rules)
      expect(await iptables.rulesOf(family, 'nat', 'FAIRLEAD-OTHER')).toBeUndefined()
    },
  )

  test.each(['nft', 'legacy'] as const)(
    '%s: one look tells whether rules of several tables are there, and writes nothing',
    async (backend) => {
      await using ns = await scratchNamespace({ iptables: backend })
      const { iptables } = ns
      const rules = [
        { table: 'nat', rule: '-A FAIRLEAD-TEST -p tcp -m comment --comment "one two" -j RETURN' },
        { table: 'filter', rule: '-A FORWARD -s 10.0.0.0/8 -j ACCEPT' },
      ] as const
      expect(await iptables.hasRules(4, rules)).toBe(false)
      expect(await iptables.rulesOf(4, 'nat', 'FAIRLEAD-TEST')).toBeUndefined()
      await iptables.restore(
        4,
        `${good}*filter\n-A FORWARD -s 10.0.0.0/8 -j ACCEPT\n-A FORWARD -s 10.0.0.1/32 -j DROP\nCOMMIT\n`,
      )
      expect(await iptables.hasRules(4, rules)).toBe(true)
      await ns.run(`iptables-${backend}`, ['-F', 'FORWARD'])
      expect(await iptables.hasRules(4, rules)).toBe(false)
      expect(await iptables.hasRules(4, rules.slice(0, 1))).toBe(true)
      await ns.run(`iptables-${backend}`, ['-t', 'nat', '-F'])
      expect(await iptables.hasRules(4, rules.slice(0, 1))).toBe(false)
      expect(await iptables.rulesOf(4, 'filter', 'FORWARD')).toEqual(['-P FORWARD ACCEPT'])
    },
  )

  test.each([
    { backend: 'nft', program: 'iptables-nft' },
    { backend: 'nft', program: 'ip6tables-nft' },
    { backend: 'legacy', program: 'iptables-legacy' },
    { backend: 'legacy', program: 'ip6tables-legacy' },
  ] as const)('$program: writes of others are counted, ours are not', async ({ backend, program }) => {
    await using ns = await scratchNamespace({ iptables: backend })
    const { iptables } = ns
    const rule = ['FORWARD', '-s', program.startsWith('ip6') ? 'fd00::/8' : '10.0.0.0/8', '-j', 'ACCEPT']
    await ns.run(program, ['-A', ...rule])
    const before = await iptables.foreignWrites()
    expect(before).toEqual(expect.any(Number))
    const count = async () => Number(await iptables.foreignWrites()) - Number(before)
    await iptables.restore(4, good)
    await iptables.restore(6, good)
    await iptables.hasRules(4, [{ table: 'nat', rule: '-A OUTPUT -j ACCEPT' }])
    await iptables.rulesOf(6, 'nat', 'FAIRLEAD-TEST')
    expect(await count()).toBe(0)
    await ns.run(program, ['-D', ...rule])
    expect(await count()).toBe(1)
    // One that falls between two writes of ours is none of these.
    await ns.run(program, ['-A', ...rule])
    await iptables.restore(4, good)
    expect(await count()).toBe(2)
    await ns.run(program, ['-t', 'nat', '-F'])
    expect(await count()).toBe(3)
    expect(await count()).toBe(3)
  })

  test.each([
    { who: 'nobody', shell: 'true', backend: 'nft' },
    {
      who: 'kubelet, on legacy',
      shell: 'iptables-legacy -t mangle -N KUBE-IPTABLES-HINT; iptables-nft -N OTHER; iptables-nft -A OTHER -j ACCEPT',
      backend: 'legacy',
    },
    {
      who: 'kubelet on nft, and kube-proxy on legacy',
      shell: 'iptables-nft -t mangle -N KUBE-KUBELET-CANARY; iptables-legacy -t mangle -N KUBE-PROXY-CANARY',
      backend: 'nft',
    },
    {
      who: 'kube-proxy, on legacy and for IPv6 alone',
      shell: 'ip6tables-legacy -t mangle -N KUBE-PROXY-CANARY',
      backend: 'legacy',
    },
    { who: 'someone with more rules on legacy', shell: 'iptables-legacy -A INPUT -j ACCEPT', backend: 'legacy' },
    {
      who: 'someone with more rules on nft',
      shell: 'iptables-legacy -A INPUT -j ACCEPT; iptables-nft -A INPUT -j ACCEPT; iptables-nft -A INPUT -j DROP',
      backend: 'nft',
    },
  ])('the backend is that of $who', async ({ shell, backend }) => {
    await using ns = await scratchNamespace()
    await ns.run('sh', ['-c', shell])
    expect(await ns.iptables.backend()).toBe(backend)
  })

  test('a chain that a shell could read otherwise is refused', async () => {
    await using ns = await scratchNamespace()
    await expect(ns.iptables.rulesOf(4, 'nat', 'A; reboot')).rejects.toThrow(TypeError)
  })
})

describeKernel('conntrack', () => {
  test('only the UDP entries that match are deleted, of the default zone; none is no failure', async () => {
    await using ns = await scratchNamespace()
    await using other = await scratchNamespace()
    await wire(
      { namespace: ns, device: 'eth0', address: '10.1.0.1/24' },
      { namespace: other, device: 'eth0', address: '10.1.0.2/24' },
    )
    const entry = (sourcePort: number, to: [string, number], from: [string, number], zone?: number) =>
      insertEntry(ns, { source: '10.1.0.1', sourcePort, to, from, ...(zone === undefined ? {} : { zone }) })
    const flows = async (family: 4 | 6 = 4): Promise<UdpFlow[]> => {
      const seen: UdpFlow[] = []
      await ns.kernel.readUdpFlows(family, (flow) => seen.push(flow))
      return seen.toSorted((a, b) => a.sourcePort - b.sourcePort)
    }
    const ports = async (): Promise<number[]> => (await flows()).map(({ sourcePort }) => sourcePort)
    await entry(4001, ['10.254.0.9', 53], ['10.1.0.2', 5353])
    await entry(4002, ['10.254.0.9', 53], ['10.1.0.2', 5353])
    await entry(4003, ['10.254.0.9', 53], ['10.1.0.3', 5353])
    await entry(4004, ['10.254.0.9', 54], ['10.1.0.2', 5353])
    await entry(4005, ['10.1.0.2', 5353], ['10.1.0.2', 5353])
    await entry(4006, ['10.254.0.9', 53], ['10.1.0.2', 5353], 7)
    expect(await flows()).toHaveLength(5)
    const [first] = await flows()
    expect(first).toEqual({
      source: '10.1.0.1',
      sourcePort: 4001,
      destination: '10.254.0.9',
      destinationPort: 53,
      replySource: '10.1.0.2',
      replySourcePort: 5353,
    })
    const { source: _, sourcePort: __, ...lead } = first!
    const other6 = parseAddress('fd00::9')
    expect(await ns.kernel.deleteUdpFlows(4, [first!])).toBe(1)
    expect(await ports()).toEqual([4002, 4003, 4004, 4005])
    expect(await ns.kernel.deleteUdpFlows(4, [lead, { ...lead, destinationPort: 55 }])).toBe(1)
    expect(await ports()).toEqual([4003, 4004, 4005])
    expect(await ns.kernel.deleteUdpFlows(4, [lead])).toBe(0)
    expect(await ns.run('conntrack', ['-L', '-p', 'udp'])).toContain('zone=7')
    expect(await flows(6)).toEqual([])
    expect(await ns.kernel.deleteUdpFlows(6, [{ ...lead, destination: other6, replySource: other6 }])).toBe(0)
  })

  test('a table too large to keep is read line by line', async () => {
    await using ns = await scratchNamespace()
    const entries = Array.from({ length: 3000 }, (_, i) =>
      [
        '-I -p udp -t 600',
        `-s 10.1.0.1 --sport ${i + 1} -d 10.2.0.1 --dport 53`,
        '-r 10.2.0.1 --reply-port-src 53',
      ].join(' '),
    ).map((line, i) => `${line} -q 10.1.0.1 --reply-port-dst ${i + 1}\n`)
    await ns.run('sh', ['-c', 'cat | conntrack -R -'], { input: entries.join('') })
    const seen = new Set<number>()
    await ns.kernel.readUdpFlows(4, ({ sourcePort }) => void seen.add(sourcePort))
    expect(seen.size).toBe(3000)
  })

  test('blocks that the kernel takes for its own', async () => {
    await using ns = await scratchNamespace()
    await using other = await scratchNamespace()
    await wire(
      { namespace: ns, device: 'eth0', address: '10.1.0.1/24' },
      { namespace: other, device: 'eth0', address: 'fd00::2/64' },
    )
    await ns.run('ip', ['route', 'add', 'local', '203.0.113.0/28', 'dev', 'lo'])
    expect((await ns.kernel.localNetworks(4)).map(formatCidr).toSorted()).toEqual([
      '10.1.0.1/32',
      '127.0.0.0/8',
      '127.0.0.1/32',
      '203.0.113.0/28',
    ])
    expect((await other.kernel.localNetworks(6)).map(formatCidr)).toEqual(
      expect.arrayContaining(['::1/128', 'fd00::2/128']),
    )
  })
})
