// The sync on real iptables: what it writes, what it mends, and that nothing of it is ever lost. Both backends.
import { expect, test } from 'vitest'
import type { Iptables, IptablesBackend } from '../../src/iptables/iptables.ts'
import { CommandError } from '../../src/kernel/command-error.ts'
import { Services } from '../../src/services/services.ts'
import { describeKernel, type ScratchNamespace, scratchNamespace, testLog } from './scratch.ts'
import { options, TestCluster } from './services-cluster.ts'

interface Bed extends AsyncDisposable {
  readonly node: ScratchNamespace
  readonly cluster: TestCluster
  readonly services: Services
  /** Every text that went to iptables-restore. */
  readonly restores: string[]
  /** While set, restores fail with it. */
  failure: CommandError | undefined
  sync(): Promise<string[]>
  save(table: string): Promise<string>
}

async function bed(backend: IptablesBackend, count: number): Promise<Bed> {
  const node = await scratchNamespace({ iptables: backend })
  const cluster = new TestCluster()
  for (let n = 1; n <= count; n++) cluster.add(n, 3)
  const restores: string[] = []
  const self: Bed = {
    node,
    cluster,
    restores,
    failure: undefined,
    services: new Services({
      kernel: node.kernel,
      iptables: spy(node.iptables, restores, () => self.failure),
      log: testLog,
      families: [4],
    }),
    sync: async () => {
      restores.length = 0
      self.services.update(...cluster.snapshot)
      await self.services.sync()
      return [...restores]
    },
    save: async (table) =>
      (await node.run(`iptables-${backend}-save`, ['-t', table]))
        .split('\n')
        .filter((line) => line.startsWith('-A ') || line.startsWith(':KUBE'))
        .map((line) => line.replace(/ \[\d+:\d+\]$/, ''))
        .toSorted()
        .join('\n'),
    [Symbol.asyncDispose]: async () => node[Symbol.asyncDispose](),
  }
  self.services.configure(options)
  return self
}

function spy(iptables: Iptables, restores: string[], failure: () => CommandError | undefined): Iptables {
  return new Proxy(iptables, {
    get: (target, name) => {
      if (name === 'restore') {
        return async (family: 4 | 6, text: string) => {
          restores.push(text)
          const broken = failure()
          if (broken !== undefined) throw broken
          return target.restore(family, text)
        }
      }
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? (value as (...args: unknown[]) => unknown).bind(target) : value
    },
  })
}

/** Names of the chains that the texts rewrite or remove. */
function chainsIn(texts: readonly string[]): string[] {
  return texts
    .flatMap((text) => text.match(/^:\S+/gm) ?? [])
    .map((line) => line.slice(1))
    .toSorted()
}

describeKernel('service rules', () => {
  const backends = ['nft', 'legacy'] as const

  test.each(backends)(
    'one endpoint that changes among 300 Services writes its chain, the new endpoint and nothing else: %s',
    async (backend) => {
      await using it = await bed(backend, 300)
      await it.sync()
      it.cluster.endpoints(7, ['10.244.9.1', '10.244.9.2', '10.244.9.3'])
      await it.sync()
      it.cluster.endpoints(7, ['10.244.9.1', '10.244.9.2', '10.244.9.4'])
      const texts = await it.sync()
      // The new endpoint, the Service's own chain, the endpoint that went.
      expect(chainsIn(texts).map((chain) => chain.slice(0, 9))).toEqual(['KUBE-SEP-', 'KUBE-SEP-', 'KUBE-SVC-'])
      expect(await it.sync()).toEqual([])
      expect(await it.save('nat')).toContain('10.244.9.4:8080')
      expect(await it.save('nat')).not.toContain('10.244.9.3:8080')
    },
  )

  test.each(backends)(
    'a Service that comes touches its own chains and one leaf of the tree; so does one that goes: %s',
    async (backend) => {
      await using it = await bed(backend, 300)
      await it.sync()
      const before = await it.save('nat')
      it.cluster.add(301, 1)
      const chains = chainsIn(await it.sync())
      expect(chains.filter((chain) => /-(SEP|SVC)-[A-Z2-7]{16}$/.test(chain))).toHaveLength(2)
      expect(chains.length).toBeLessThanOrEqual(4)
      it.cluster.remove(301)
      expect(chainsIn(await it.sync()).length).toBeLessThanOrEqual(4)
      expect(await it.save('nat')).toBe(before)
    },
  )

  test.each(backends)('counters of chains that did not change go on counting: %s', async (backend) => {
    await using it = await bed(backend, 80)
    await it.sync()
    const [, other] = it.cluster.services.values()
    await it.node.run('ip', ['route', 'add', 'default', 'dev', 'lo'])
    await it.node.run('sh', [
      '-c',
      `echo x | socat -T1 - UDP4-SENDTO:${other?.clusterIps[0]}:9 || true; (echo x | timeout 1 socat - TCP4:${other?.clusterIps[0]}:80,connect-timeout=0.2) || true`,
    ])
    const count = async () =>
      (await it.node.run(`iptables-${backend}-save`, ['-c', '-t', 'nat']))
        .split('\n')
        .filter((line) => line.includes('ns/svc-2 ->') && !line.startsWith('[0:0]')).length
    expect(await count()).toBeGreaterThan(0)
    it.cluster.endpoints(7, ['10.244.9.9'])
    it.cluster.add(200, 2)
    await it.sync()
    expect(await count()).toBeGreaterThan(0)
  })

  test.each(backends)(
    'a restart adopts what is there without writing, and removes what went meanwhile: %s',
    async (backend) => {
      await using it = await bed(backend, 100)
      await it.sync()
      const again = async () => {
        const restores: string[] = []
        const services = new Services({
          kernel: it.node.kernel,
          iptables: spy(it.node.iptables, restores, () => undefined),
          log: testLog,
          families: [4],
        })
        services.configure(options)
        services.update(...it.cluster.snapshot)
        await services.sync()
        return restores
      }
      expect(await again()).toEqual([])
      it.cluster.remove(5)
      expect(chainsIn(await again()).length).toBeLessThanOrEqual(7)
      expect(await it.save('nat')).not.toContain('ns/svc-5 ')
    },
  )

  test.each(backends)(
    'whatever is flushed, deleted or changed comes back, and only what differs is written: %s',
    async (backend) => {
      await using it = await bed(backend, 100)
      await it.sync()
      const tables = ['filter', 'nat', 'mangle'] as const
      const whole = async () => (await Promise.all(tables.map((table) => it.save(table)))).join('\n--\n')
      const before = await whole()
      const iptables = (...args: string[]) => it.node.run(`iptables-${backend}`, args)
      const damages: [string, () => Promise<unknown>, number][] = [
        ['nat flushed', () => iptables('-t', 'nat', '-F'), 1000],
        ['filter flushed', () => iptables('-F'), 20],
        ['a jump deleted', () => iptables('-t', 'nat', '-D', 'PREROUTING', '1'), 0],
        [
          'a rule deleted deep in a chain',
          async () => iptables('-t', 'nat', '-D', await chain(it, 'KUBE-SEP-'), '1'),
          1,
        ],
        ['a rule added', async () => iptables('-t', 'nat', '-A', await chain(it, 'KUBE-SVC-CIP-'), '-j', 'RETURN'), 1],
        [
          'all chains deleted',
          () =>
            it.node.run('sh', [
              '-c',
              `for t in filter nat mangle; do iptables-${backend}-save -t $t | grep '^[*:]\\(filter\\|nat\\|mangle\\|KUBE\\)' | sed 's/^:\\(\\S*\\).*/-F \\1\\n-X \\1/' > /tmp/$$; { echo "*$t"; grep -h -- '^-F' /tmp/$$; iptables-${backend}-save -t $t | grep -- '-j KUBE' | grep -v '^-A KUBE' | sed 's/^-A/-D/'; grep -h -- '^-X' /tmp/$$; echo COMMIT; } | iptables-${backend}-restore --noflush; rm /tmp/$$; done`,
            ]),
          1000,
        ],
      ]
      for (const [what, damage, chains] of damages) {
        await damage()
        const damaged = (await whole()) !== before
        it.restores.length = 0
        const repaired = await it.services.audit({ whole: true })
        const written = chainsIn(it.restores).length
        expect({ what, damaged, told: repaired.length > 0, few: written <= chains, after: await whole() }).toEqual({
          what,
          damaged: true,
          told: true,
          few: true,
          after: before,
        })
      }
    },
  )

  test.each(backends)('a restore that fails loses nothing: %s', async (backend) => {
    await using it = await bed(backend, 70)
    await it.sync()
    it.failure = new CommandError({
      kind: 'other',
      command: 'iptables-restore',
      stderr: 'Another app is currently holding the xtables lock',
    })
    it.cluster.endpoints(7, ['10.244.9.1'])
    it.cluster.remove(8)
    await expect(it.sync()).rejects.toThrow('xtables lock')
    await expect(it.sync()).rejects.toThrow('xtables lock')
    it.failure = undefined
    await it.sync()
    const nat = await it.save('nat')
    expect(nat).toContain('10.244.9.1:8080')
    expect(nat).not.toContain('ns/svc-8"')
    expect(await it.sync()).toEqual([])
  })

  test.each(backends)(
    'chains removed behind our back make a write fail once; the next reads the tables and succeeds: %s',
    async (backend) => {
      await using it = await bed(backend, 70)
      await it.sync()
      await it.node.run('sh', [
        '-c',
        `iptables-${backend} -t nat -F; for c in $(iptables-${backend}-save -t nat | grep -o '^:KUBE[^ ]*' | tr -d :); do iptables-${backend} -t nat -X $c; done`,
      ])
      it.cluster.endpoints(7, ['10.244.9.1', '10.244.9.2'])
      for (let tries = 0; tries < 3; tries++) await it.sync().catch(() => undefined)
      expect(await it.save('nat')).toContain('10.244.9.1:8080')
      expect(await it.services.audit({ whole: true })).toEqual([])
    },
  )

  test.each(backends)('clean removes every chain and jump, and nothing of a kube-proxy: %s', async (backend) => {
    await using it = await bed(backend, 70)
    await it.node.run(`iptables-${backend}`, ['-A', 'FORWARD', '-j', 'ACCEPT'])
    await it.sync()
    expect(await it.services.clean()).toBeGreaterThan(280)
    expect([await it.save('nat'), await it.save('mangle')]).toEqual(['', ''])
    // KUBE-FIREWALL is kubelet's too, and stays.
    expect((await it.save('filter')).split('\n').filter((line) => !line.includes('KUBE-FIREWALL'))).toEqual([
      '-A FORWARD -j ACCEPT',
    ])
    await it.node.run(`iptables-${backend}`, ['-t', 'nat', '-N', 'KUBE-SERVICES'])
    expect(await it.services.clean()).toBe(0)
    expect(await it.save('nat')).toContain(':KUBE-SERVICES')
  })

  test('rules of a kube-proxy in the other backend are refused in one sentence', async () => {
    await using it = await bed('nft', 1)
    await it.node.run('iptables-legacy', ['-t', 'nat', '-N', 'KUBE-SERVICES'])
    await expect(it.sync()).rejects.toThrow('iptables-legacy, while this node uses iptables-nft')
    expect(await it.save('nat')).toBe('')
  })
})

async function chain(it: Bed, prefix: string): Promise<string> {
  const rules = (await it.save('nat')).split('\n').filter((line) => line.startsWith(`-A ${prefix}`))
  return rules[0]?.split(' ')[1] ?? ''
}
