// Services change hands between the agent and a kube-proxy, in both directions and with either started first, while
// clients connect without pause. Whoever serves follows the cluster, before, between and after.
//
// KUBE_PROXY=/path/to/kube-proxy runs it with the real one, and FAIRLEAD_LONG on every backend, with 1,000 connections a
// second and at least 30,000 for each change.
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test, vi } from 'vitest'
import { formatRule } from '../../src/iptables/rule.ts'
import { baseJumps } from '../../src/services/static-chains.ts'
import type { AgentMachine } from './agent-machine.ts'
import { Clients, followed, handOverMachine, serveAt, startServers } from './hand-over-machine.ts'
import { chains, rules } from './kube-proxy-player.ts'
import { type KubeProxy, kubeProxyBinary, type KubeProxyMode, kubeProxyOn } from './kube-proxy-programs.ts'
import { describeKernel } from './scratch.ts'

const long = process.env['FAIRLEAD_LONG'] === '1'
const [rate, least] = long ? [1000, 31_000] : [150, 0]
const detectLocal = ['--detect-local', 'clusterCIDR', '--cluster-cidr', '10.244.0.0/16,fd00:244::/56']
const on = { flags: detectLocal }
/** As deploy/next-to-kube-proxy. */
const off = {
  flags: [
    ...detectLocal,
    '--service-proxy',
    'false',
    '--health-address',
    '0.0.0.0:10266',
    '--metrics-address',
    '127.0.0.1:10265',
  ],
}
const eventually = { timeout: 90_000, interval: 100 }

/** How often the agents of the machine have said so. */
function said(machine: AgentMachine, sentence: string): number {
  return machine.log.filter(({ msg }) => msg.includes(sentence)).length
}

async function agentTurns(machine: AgentMachine, way: typeof on): Promise<void> {
  await machine.killAgent('TERM')
  machine.startAgent(way)
}

/** What of a kube-proxy is there that is not ours. */
async function signsOfKubeProxy(machine: AgentMachine, backend: string): Promise<string[]> {
  const canary = (await chains(machine, backend, 'mangle')).filter((chain) => chain === 'KUBE-PROXY-CANARY')
  const canary6 = (await chains(machine, backend, 'mangle', 6)).filter((chain) => chain === 'KUBE-PROXY-CANARY')
  const tables = (await machine.succeed('nft', ['list', 'tables'])).split('\n').filter((line) => line.includes('proxy'))
  return [...canary, ...canary6, ...tables]
}

async function isOurs(machine: AgentMachine, backend: string): Promise<boolean> {
  for (const family of [4, 6] as const) {
    const marked = (await rules(machine, backend, 'mangle', [], family)).some((rule) => rule.includes('-SERVICES '))
    const nat = await rules(machine, backend, 'nat', [], family)
    const all = [...nat, ...(await rules(machine, backend, 'filter', [], family))]
    const jumps = baseJumps.every(({ base, rule }) => all.includes(`-A ${base} ${formatRule(rule)}`))
    const second = nat.filter((rule) => rule.includes('while fairlead runs')).length
    if (!marked || !jumps || second !== 3 || !nat.some((rule) => / -[jg] KUBE-SVC-CIP-/.test(rule))) return false
  }
  return true
}

async function nothingOfOurs(machine: AgentMachine, backend: string): Promise<void> {
  for (const family of [4, 6] as const) {
    expect(await chains(machine, backend, 'mangle', family)).not.toContain('FAIRLEAD-SERVICES')
    expect((await rules(machine, backend, 'nat', [], family)).filter((rule) => rule.includes('fairlead runs'))).toEqual(
      [],
    )
    // The tree has chains that kube-proxy has not.
    expect(
      (await chains(machine, backend, 'nat', family)).filter((chain) => chain.startsWith('KUBE-SVC-CIP-')),
    ).toEqual([])
  }
}

describeKernel('Services that change hands', () => {
  test.each<readonly [KubeProxyMode, string]>([
    ['iptables', 'nft'],
    ['nftables', 'legacy'],
    ...(long
      ? ([
          ['iptables', 'legacy'],
          ['nftables', 'nft'],
        ] as const)
      : []),
  ])(
    'between the agent and a kube-proxy in mode %s, on iptables-%s: no connection fails, whichever starts first',
    { timeout: long ? 1_200_000 : 600_000 },
    async (mode, backend) => {
      await using machine = await handOverMachine(backend)
      await using stack = new AsyncDisposableStack()
      stack.use(startServers(machine))
      const kubeProxy = kubeProxyOn(machine, mode, backend)
      stack.defer(async () => kubeProxy.stop())
      const who = kubeProxyBinary === undefined ? 'played' : 'real'

      const under = async (change: string, work: () => Promise<void>): Promise<void> => {
        await using clients = await Clients.start(machine, rate)
        const begin = performance.now()
        await work()
        await sleep(Math.max(0, (least / rate) * 1000 - (performance.now() - begin)))
        const { asked, late, failures } = await clients.stop()
        console.log(`${who} kube-proxy, ${mode}, ${backend}: ${change}: ${asked} connections, ${late} late`, failures)
        expect(failures).toEqual({})
        expect(asked).toBeGreaterThan(least)
      }
      /** Service 2 is served elsewhere now, and `by` leads there. */
      const moves = async (which: 0 | 1, by?: KubeProxy): Promise<void> => {
        await serveAt(machine, 2, [which])
        await by?.heard()
        await followed(machine, which)
      }
      const taken = mode === 'iptables' ? 'kube-proxy has taken over' : 'another proxy has its own'
      const handedOver = async (times: number): Promise<void> => {
        await vi.waitFor(() => expect(said(machine, taken)).toBe(2 * times), eventually)
        await vi.waitFor(async () => nothingOfOurs(machine, backend), eventually)
        const kept = (await chains(machine, backend, 'nat')).includes('KUBE-SERVICES')
        expect(kept).toBe(mode === 'iptables')
      }
      const takenOver = async (): Promise<void> => {
        await vi.waitFor(async () => expect(await isOurs(machine, backend)).toBe(true), eventually)
        await vi.waitFor(async () => expect(await signsOfKubeProxy(machine, backend)).toEqual([]), eventually)
      }

      await kubeProxy.start()
      await under('to the agent, the agent first', async () => {
        machine.startAgent(on)
        await vi.waitFor(() => expect(said(machine, 'Another proxy serves IPv4 Services')).toBe(1), eventually)
        await moves(0, kubeProxy)
        await kubeProxy.stop()
        await takenOver()
        await moves(1)
      })
      await under('to kube-proxy, kube-proxy first', async () => {
        await kubeProxy.start()
        await agentTurns(machine, off)
        await handedOver(1)
        await moves(0, kubeProxy)
      })
      await under('to the agent, kube-proxy stopped first', async () => {
        await kubeProxy.stop()
        await agentTurns(machine, on)
        await takenOver()
        await moves(1)
      })
      await under("to the agent: kube-proxy's own cleanup while the agent runs", async () => {
        await kubeProxy.cleanUp()
        await vi.waitFor(async () => expect(await isOurs(machine, backend)).toBe(true), eventually)
        await moves(0)
      })
      await under('to kube-proxy, the agent switched off first', async () => {
        await agentTurns(machine, off)
        await vi.waitFor(() => expect(said(machine, 'Services go on until another proxy has them')).toBe(2), eventually)
        await moves(1)
        await kubeProxy.start()
        await handedOver(2)
        await moves(0, kubeProxy)
      })
    },
  )
})
