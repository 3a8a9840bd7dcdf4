// A node changes hands: from a kube-proxy to the agent and back, while a client connects through a Service without
// pause.
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import {
  canaries,
  chains,
  kubeProxyCleansUp,
  kubeProxyRules,
  kubeProxySyncs,
  restore,
  rules,
} from './kube-proxy-player.ts'
import { describeKernel } from './scratch.ts'
import {
  addServices,
  countersOf,
  detectLocalFlags,
  echoServer,
  serviceMachine,
  SteadyClient,
  written,
} from './service-machine.ts'

const fairlead = join(import.meta.dirname, '../../bin/fairlead')
const flags = [...detectLocalFlags, '--log-level', 'debug']

describeKernel('a node that changes hands', () => {
  test.each(['nft', 'legacy'])(
    'from kube-proxy to the agent and back: no connection fails, and chains that are right already are not written: %s',
    async (backend) => {
      await using machine = await serviceMachine(backend)
      await using stack = new AsyncDisposableStack()
      stack.use(echoServer(machine))
      await addServices(machine, 1, 3)
      await restore(machine, backend, (await kubeProxyRules(machine)) + canaries)
      const ask = (address: string) =>
        machine.run('ip', ['netns', 'exec', 'client', 'socat', '-T2', '-u', `TCP:${address}:80,connect-timeout=1`, '-'])
      await vi.waitFor(async () => expect((await ask('10.254.1.1')).stdout).toBe('hello\n'), { timeout: 60_000 })

      // Counters of a Service that is used before and not while the node is taken over.
      await ask('10.254.1.2')
      await ask('10.254.1.2')
      const used = await countersOf(machine, backend, 's2')
      expect(used.filter((line) => line.startsWith('[2:'))).not.toEqual([])
      const proxied = { nat: await rules(machine, backend, 'nat'), filter: await rules(machine, backend, 'filter') }

      const client = stack.use(new SteadyClient(machine, '10.254.1.1'))
      await client.started()
      machine.startAgent({ flags })
      await machine.ready()
      await vi.waitFor(async () => expect(await chains(machine, backend, 'mangle')).toContain('FAIRLEAD-SERVICES'), {
        timeout: 60_000,
        interval: 100,
      })
      expect(await countersOf(machine, backend, 's2')).toEqual(used)
      expect(written(machine, backend).join('')).toContain(':FAIRLEAD-SERVICES')
      expect(written(machine, backend).flatMap((text) => text.match(/^(:|-A |-I |-D )\S*KUBE-.*/gm) ?? [])).toEqual([])
      for (const table of ['nat', 'filter'] as const)
        expect(
          (await rules(machine, backend, table)).filter((rule) => rule.includes('KUBE-') && !rule.includes('FAIRLEAD')),
        ).toEqual(proxied[table])

      // The agent goes on in its own layout.
      await addServices(machine, 4, 70)
      await vi.waitFor(
        async () =>
          expect(
            (await rules(machine, backend, 'nat')).filter((rule) => /KUBE-SVC-CIP-.*default\/s70 /.test(rule)),
          ).not.toEqual([]),
        { timeout: 60_000, interval: 100 },
      )
      expect((await ask('10.254.1.70')).stdout).toBe('hello\n')

      // And back.
      await machine.killAgent('TERM')
      const released = await machine.run(fairlead, [
        'cleanup',
        '--keep-services',
        '--cni-bin-dir',
        `${machine.dir}/bin`,
        '--cni-conf-dir',
        `${machine.dir}/net.d`,
      ])
      expect([released.exitCode, released.stderr]).toEqual([0, ''])
      expect(released.stdout).toContain('(--keep-services): start kube-proxy')
      expect((await kubeProxySyncs(machine, backend)).filter((chain) => chain.startsWith('KUBE-SVC-CIP'))).not.toEqual(
        [],
      )
      expect((await ask('10.254.1.70')).stdout).toBe('hello\n')
      const { answered, failures } = await client.stop()
      expect(failures).toEqual([])
      expect(answered).toBeGreaterThan(100)

      // What kube-proxy has now is its own: our cleanup lets it be, and its own leaves nothing but what kubelet has
      // too.
      const again = await machine.run(fairlead, [
        'cleanup',
        '--dry-run',
        '--cni-bin-dir',
        `${machine.dir}/bin`,
        '--cni-conf-dir',
        `${machine.dir}/net.d`,
      ])
      expect(again.stdout).toBe('# nothing of Fairlead is left to remove on this node\n')
      await kubeProxyCleansUp(machine, backend)
      for (const table of ['nat', 'filter', 'mangle'])
        expect(
          (await chains(machine, backend, table)).filter(
            (chain) =>
              /^(KUBE|FAIRLEAD)-/.test(chain) &&
              !['KUBE-FIREWALL', 'KUBE-KUBELET-CANARY', 'KUBE-IPTABLES-HINT'].includes(chain),
          ),
        ).toEqual([])
    },
  )

  test.each(['nft', 'legacy'])(
    "kube-proxy's own cleanup removes every chain of our layout of Services: %s",
    async (backend) => {
      await using machine = await serviceMachine(backend)
      await addServices(machine, 1, 70)
      machine.startAgent({ flags })
      await machine.ready()
      await vi.waitFor(
        async () =>
          expect(
            (await rules(machine, backend, 'nat')).filter((rule) => /KUBE-SVC-CIP-.*default\/s70 /.test(rule)),
          ).not.toEqual([]),
        { timeout: 60_000, interval: 100 },
      )
      await machine.killAgent('TERM')
      await kubeProxyCleansUp(machine, backend)
      const left = (
        await Promise.all(['nat', 'filter', 'mangle'].map(async (table) => chains(machine, backend, table)))
      ).flat()
      expect(left.filter((chain) => chain.startsWith('KUBE-')).toSorted()).toEqual([
        'KUBE-FIREWALL',
        'KUBE-IPTABLES-HINT',
        'KUBE-KUBELET-CANARY',
      ])
    },
  )
})
