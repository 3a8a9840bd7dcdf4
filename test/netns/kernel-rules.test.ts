import { expect, test } from 'vitest'
import { parseAddress } from '../../src/net/address.ts'
import { describeKernel, scratchNamespace, wire } from './scratch.ts'

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
  test('only the UDP entries that match are deleted; none is no failure', async () => {
    await using ns = await scratchNamespace()
    await using other = await scratchNamespace()
    await wire(
      { namespace: ns, device: 'eth0', address: '10.1.0.1/24' },
      { namespace: other, device: 'eth0', address: '10.1.0.2/24' },
    )
    const entry = (port: number, endpoint: string) =>
      ns.run('conntrack', [
        '-I',
        '-p',
        'udp',
        '-t',
        '60',
        '-s',
        '10.1.0.1',
        '-d',
        '10.254.0.9',
        '--sport',
        String(4000 + port),
        '--dport',
        String(port),
        '--reply-src',
        endpoint,
        '--reply-dst',
        '10.1.0.1',
        '--reply-port-src',
        '5353',
        '--reply-port-dst',
        String(4000 + port),
      ])
    const left = async () =>
      [...(await ns.run('conntrack', ['-L', '-p', 'udp'])).matchAll(/dport=(\d+) /g)]
        .map(([, port]) => Number(port))
        .filter((port) => port < 4000)
        .toSorted((a, b) => a - b)
    await entry(53, '10.1.0.2')
    await entry(54, '10.1.0.2')
    await entry(55, '10.1.0.3')
    expect(await left()).toEqual([53, 54, 55])
    await ns.kernel.deleteUdpConntrack(4, { port: 53 })
    expect(await left()).toEqual([54, 55])
    await ns.kernel.deleteUdpConntrack(4, {
      destination: parseAddress('10.254.0.9'),
      endpoint: parseAddress('10.1.0.3'),
    })
    expect(await left()).toEqual([54])
    await ns.kernel.deleteUdpConntrack(4, { port: 53 })
    await ns.kernel.deleteUdpConntrack(6, {
      destination: parseAddress('fd00::9'),
      endpoint: parseAddress('fd00::1'),
      port: 54,
      endpointPort: 5353,
    })
    expect(await left()).toEqual([54])
    await expect(ns.kernel.deleteUdpConntrack(4, {})).rejects.toThrow(TypeError)
  })
})
