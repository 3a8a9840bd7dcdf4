// A node changes hands: from a kube-proxy to the agent and back, while a client connects through a Service without
// pause.
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import type { AgentMachine, Ran } from './agent-machine.ts'
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
      const kubeLines = written(machine, backend).flatMap((text) => text.match(/^(:|-A |-I |-D )\S*KUBE-.*/gm) ?? [])
      // What says that a kube-proxy keeps the chains.
      expect(new Set(kubeLines)).toEqual(new Set([':KUBE-PROXY-CANARY - [0:0]']))
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
      const released = await cleanUp(machine, '--keep-services')
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
      const again = await cleanUp(machine, '--dry-run')
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
    "kube-proxy's own cleanup removes every chain of our layout, once they have been left to it: %s",
    async (backend) => {
      await using machine = await servingMachine(backend)
      await machine.killAgent('TERM')
      expect((await cleanUp(machine, '--keep-services')).exitCode).toBe(0)
      await kubeProxyCleansUp(machine, backend)
      expect(await chainsLeft(machine, backend)).toEqual(['KUBE-FIREWALL', 'KUBE-IPTABLES-HINT', 'KUBE-KUBELET-CANARY'])
    },
  )

  test.each(['nft', 'legacy'])(
    'chains that an agent has left without a cleanup stay when kube-proxy cleans up, and take packets only while an agent may come back: %s',
    async (backend) => {
      await using machine = await servingMachine(backend)
      await using _server = echoServer(machine)
      const ask = async () =>
        (
          await machine.run('ip', [
            'netns',
            'exec',
            'client',
            'socat',
            '-T2',
            '-u',
            'TCP:10.254.1.70:80,connect-timeout=1',
            '-',
          ])
        ).stdout
      await vi.waitFor(async () => expect(await ask()).toBe('hello\n'), { timeout: 60_000 })
      await machine.killAgent('TERM')
      await kubeProxyCleansUp(machine, backend)
      const jumps = (await rules(machine, backend, 'nat')).filter((rule) => rule.startsWith('-A PREROUTING'))
      expect(jumps.filter((rule) => rule.includes('KUBE-SERVICES'))).toEqual([
        expect.stringContaining('--rcheck --seconds 120 --name FAIRLEAD '),
      ])
      expect(await ask()).toBe('hello\n')
      // As if the two minutes were over: nobody has renewed it.
      await machine.succeed('sh', ['-c', 'echo -0.0.0.0 >/proc/net/xt_recent/FAIRLEAD'])
      expect(await ask()).toBe('')
      expect((await cleanUp(machine)).exitCode).toBe(0)
      expect(await chainsLeft(machine, backend)).toEqual(['KUBE-FIREWALL', 'KUBE-IPTABLES-HINT', 'KUBE-KUBELET-CANARY'])
    },
  )

  test.each(['nft', 'legacy'])(
    'a cleanup keeps the chains that a kube-proxy has taken over without one, and removes those of an older agent: %s',
    async (backend) => {
      await using machine = await servingMachine(backend)
      await machine.killAgent('TERM')
      await kubeProxySyncs(machine, backend)
      await restore(machine, backend, canaries)
      const before = await rules(machine, backend, 'filter')
      const kept = await cleanUp(machine)
      expect([kept.exitCode, kept.stderr]).toEqual([0, ''])
      expect(kept.stdout).toContain('the KUBE- chains of iptables stay: a kube-proxy has taken them over')
      expect((await rules(machine, backend, 'filter')).filter((rule) => rule.includes('KUBE-'))).toEqual(
        before.filter((rule) => rule.includes('KUBE-')),
      )
      expect(await chains(machine, backend, 'nat')).toContain('KUBE-SERVICES')
      expect((await rules(machine, backend, 'nat')).filter((rule) => rule.includes('while fairlead runs'))).toEqual([])

      // An agent up to 0.1 left the marker empty, beside canaries of its own.
      await restore(machine, backend, '*mangle\n:FAIRLEAD-SERVICES - [0:0]\nCOMMIT\n')
      expect((await cleanUp(machine)).exitCode).toBe(0)
      expect(await chainsLeft(machine, backend)).toEqual(['KUBE-FIREWALL', 'KUBE-IPTABLES-HINT', 'KUBE-KUBELET-CANARY'])
    },
  )
})

/** An agent that serves 70 Services, as a tree. */
async function servingMachine(backend: string): Promise<AgentMachine> {
  const machine = await serviceMachine(backend)
  await addServices(machine, 1, 70)
  machine.startAgent({ flags })
  await machine.ready()
  await vi.waitFor(
    async () => {
      const nat = await rules(machine, backend, 'nat')
      expect(nat.filter((rule) => /KUBE-SVC-CIP-.*default\/s70 /.test(rule))).not.toEqual([])
      expect(nat.filter((rule) => rule.includes('while fairlead runs'))).toHaveLength(3)
    },
    { timeout: 60_000, interval: 100 },
  )
  return machine
}

async function cleanUp(machine: AgentMachine, ...args: string[]): Promise<Ran> {
  const directories = ['--cni-bin-dir', `${machine.dir}/bin`, '--cni-conf-dir', `${machine.dir}/net.d`]
  return machine.run(fairlead, ['cleanup', ...args, ...directories])
}

async function chainsLeft(machine: AgentMachine, backend: string): Promise<string[]> {
  const left = await Promise.all(['nat', 'filter', 'mangle'].map(async (table) => chains(machine, backend, table)))
  return left
    .flat()
    .filter((chain) => /^(KUBE|FAIRLEAD)-/.test(chain) && !/^FAIRLEAD-(?!SERVICES)/.test(chain))
    .toSorted()
}
