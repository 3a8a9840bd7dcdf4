// A running node with 300 Services whose rules another program flushes, deletes or changes: how soon traffic is back,
// and that nothing but what differs is written. Seconds are printed and not asserted: the bounds only tell repaired
// from not repaired (the promise is 3 s for tables and jumps, 30 s for a single rule).
import { expect, test, vi } from 'vitest'
import { type AgentMachine, until } from './agent-machine.ts'
import { chains, restore, rules } from './kube-proxy-player.ts'
import { describeKernel } from './scratch.ts'
import {
  addressOf,
  addServices,
  detectLocalFlags,
  echoServer,
  service,
  serviceMachine,
  servicesPath,
  written,
} from './service-machine.ts'

const count = 300
const tables = ['mangle', 'filter', 'nat']
const boundMs = { soon: 20_000, late: 60_000 }
/** Without an endpoint: refused as long as table filter is whole. */
const deserted = '10.254.9.9'

interface Damage {
  readonly what: string
  readonly inflict: (machine: AgentMachine, backend: string) => Promise<unknown>
  /** Whether the Service that suffers works. */
  readonly works: (machine: AgentMachine) => Promise<boolean>
  readonly within: keyof typeof boundMs
  /** "nat KUBE-SERVICES" of all that may be written. */
  readonly rewrites: RegExp
  readonly most: number
}

const iptables = (machine: AgentMachine, backend: string, ...args: readonly string[]): Promise<string> =>
  machine.succeed(`iptables-${backend}`, ['-w', '5', ...args])
/** The Service in the middle of all. */
const answers = (machine: AgentMachine): Promise<boolean> =>
  connects(machine, addressOf(count / 2)).then(({ stdout }) => stdout === 'hello\n')

const damages: readonly Damage[] = [
  {
    what: 'iptables -F',
    inflict: (...on) => iptables(...on, '-F'),
    works: (machine) => connects(machine, deserted).then(({ stderr }) => stderr.includes('Connection refused')),
    within: 'soon',
    rewrites: /^filter (KUBE|FAIRLEAD)-/,
    most: 20,
  },
  {
    what: 'iptables -t nat -F',
    inflict: (...on) => iptables(...on, '-t', 'nat', '-F'),
    works: answers,
    within: 'soon',
    rewrites: /^nat (KUBE|FAIRLEAD)-/,
    most: 5 * count,
  },
  {
    what: 'one jump deleted',
    inflict: (...on) =>
      iptables(
        ...on,
        '-t',
        'nat',
        '-D',
        'PREROUTING',
        '-m',
        'comment',
        '--comment',
        'kubernetes service portals',
        '-j',
        'KUBE-SERVICES',
      ),
    works: answers,
    within: 'soon',
    rewrites: /^nothing$/,
    most: 0,
  },
  {
    what: 'all KUBE-* chains of all tables deleted',
    inflict: deleteAllChains,
    works: answers,
    within: 'soon',
    rewrites: /^(mangle|filter|nat) (KUBE|FAIRLEAD)-/,
    most: 5 * count,
  },
  {
    what: 'one rule deep in a chain deleted',
    inflict: deleteEndpointRule,
    works: answers,
    within: 'late',
    rewrites: /^nat KUBE-SEP-/,
    most: 1,
  },
]

/** A connection from the client's namespace. */
function connects(machine: AgentMachine, address: string): Promise<{ stdout: string; stderr: string }> {
  return machine.run('ip', [
    'netns',
    'exec',
    'client',
    'socat',
    '-T1',
    '-u',
    `TCP:${address}:80,connect-timeout=0.5`,
    '-',
  ])
}

async function deleteAllChains(machine: AgentMachine, backend: string): Promise<void> {
  for (const table of tables) {
    const going = (await chains(machine, backend, table)).filter((chain) => chain.startsWith('KUBE-'))
    const jumps = (await rules(machine, backend, table)).filter(
      (rule) => !rule.startsWith('-A KUBE-') && rule.includes(' -j KUBE-'),
    )
    await restore(
      machine,
      backend,
      [
        `*${table}`,
        ...going.map((chain) => `:${chain} - [0:0]`),
        ...jumps.map((jump) => jump.replace('-A', '-D')),
        ...going.map((chain) => `-X ${chain}`),
        'COMMIT',
        '',
      ].join('\n'),
    )
  }
}

async function deleteEndpointRule(machine: AgentMachine, backend: string): Promise<void> {
  const rule = (await rules(machine, backend, 'nat')).find(
    (line) => line.includes(`"default/s${count / 2}"`) && line.includes('-j DNAT'),
  )
  await restore(machine, backend, `*nat\n${rule?.replace('-A', '-D')}\nCOMMIT\n`)
}

/** Without comments and counters, for all tables. */
async function state(machine: AgentMachine, backend: string): Promise<string[]> {
  const all = await Promise.all(
    tables.map(async (table) =>
      [...(await chains(machine, backend, table)), ...(await rules(machine, backend, table))].map(
        (line) => `${table} ${line}`,
      ),
    ),
  )
  // Chains that kubelet made are gone for good when somebody deletes them, and their order is that in which they were
  // made.
  return all
    .flat()
    .filter((line) => !/KUBE-(KUBELET-CANARY|IPTABLES-HINT)/.test(line))
    .toSorted()
}

/** "nat KUBE-SERVICES" for each chain that texts for iptables-restore declare. */
function chainsOf(texts: readonly string[]): string[] {
  return texts
    .flatMap((text) => text.split(/^(?=\*)/m))
    .flatMap((part) => (part.match(/^:\S+/gm) ?? []).map((chain) => `${/^\*(\S+)/.exec(part)?.[1]} ${chain.slice(1)}`))
}

describeKernel('rules of Services that another program damages', () => {
  test.concurrent.each(['nft', 'legacy'])('%s', { timeout: 240_000 }, async (backend) => {
    await using machine = await serviceMachine(backend)
    await using _server = echoServer(machine)
    // Where nothing leads to an address, its packets never come to table filter.
    await machine.succeed('ip', ['route', 'add', 'default', 'dev', 'uplink'])
    await addServices(machine, 1, count)
    await machine.api('POST', servicesPath, service('deserted', { clusterIP: deserted, ports: [{ port: 80 }] }))
    machine.startAgent({ flags: [...detectLocalFlags, '--log-level', 'debug'] })
    await machine.ready()
    for (const { works } of damages)
      await vi.waitFor(async () => expect(await works(machine)).toBe(true), { timeout: 60_000, interval: 100 })
    const before = await state(machine, backend)
    for (const { what, inflict, works, within, rewrites, most } of damages) {
      const known = written(machine, backend).length
      await inflict(machine, backend)
      const ms = await until(() => works(machine), `traffic after ${what}`, boundMs[within])
      console.log(`${backend}, ${count} Services, ${what}: back after ${(ms / 1000).toFixed(1)} s`)
      await vi.waitFor(async () => expect(await state(machine, backend)).toEqual(before), {
        timeout: 60_000,
        interval: 200,
      })
      const rewritten = chainsOf(written(machine, backend).slice(known))
      expect({
        what,
        others: rewritten.filter((chain) => !rewrites.test(chain)),
        few: rewritten.length <= most,
      }).toEqual({ what, others: [], few: true })
    }
    const repairs = machine.log.filter(({ msg }) => msg.startsWith('rules had been changed by another program'))
    expect(repairs.length).toBeGreaterThanOrEqual(damages.length)
    const [, repaired] =
      /^fairlead_reconcile_changes_total\{room="services",kind="chain"\} (\d+)/m.exec(await machine.metrics()) ?? []
    expect(Number(repaired)).toBeGreaterThan(count)
  })
})
