// kube-proxy, played by its rules word for word (the flat layout is compared with its golden files elsewhere), and by
// what it does to the rules of a node: kubernetes pkg/proxy, 1.36.
import { parseCidr } from '../../src/net/cidr.ts'
import type { Manifest } from '../../src/services/manifests.ts'
import { defaultOptions } from '../../src/services/options.ts'
import { renderManifests } from '../../src/services/render-manifests.ts'
import { formatRule } from '../../src/iptables/rule.ts'
import { baseJumps } from '../../src/services/static-chains.ts'
import { tableText } from '../../src/services/table-text.ts'
import type { Family } from '../../src/net/address.ts'
import type { AgentMachine, Ran } from './agent-machine.ts'

/** What kube-proxy writes for the objects that the API server has. */
export async function kubeProxyRules(machine: AgentMachine, family: Family = 4): Promise<string> {
  const list = async (path: string, kind: string) =>
    ((await machine.api('GET', path)) as { items: object[] }).items.map(
      (item) => ({ ...item, kind }) as unknown as Manifest,
    )
  const objects = [
    ...(await list('/api/v1/services', 'Service')),
    ...(await list('/apis/discovery.k8s.io/v1/endpointslices', 'EndpointSlice')),
    ...(await list('/api/v1/nodes', 'Node')),
  ]
  const { families } = renderManifests(objects, 'n1', {
    ...defaultOptions,
    layout: 'flat',
    detectLocal: { by: 'clusterCidr', cidrs: clusterCidrs },
  })
  return families
    .filter((each) => each.family === family)
    .map(({ rules }) => tableText(rules))
    .join('')
}

const clusterCidrs = [parseCidr('10.244.0.0/16'), parseCidr('fd00:244::/56')]
export const canaries = ['mangle', 'nat', 'filter']
  .map((table) => `*${table}\n:KUBE-PROXY-CANARY - [0:0]\nCOMMIT\n`)
  .join('')
/**
 * All that its garbage collection and its --cleanup take for kube-proxy's in table nat (reference: services 1.1, 3.7).
 */
const fivePrefixes = /^KUBE-(SVC|SVL|EXT|FW|SEP)-/

/**
 * kube-proxy's first sync on a node: all of its chains anew, and those with its prefixes that it does not know removed,
 * in one restore. Answers these.
 */
export async function kubeProxySyncs(machine: AgentMachine, backend: string, family: Family = 4): Promise<string[]> {
  const wanted = await kubeProxyRules(machine, family)
  const withoutJumps = wanted
    .split('\n')
    .filter((line) => !/^-A (INPUT|FORWARD|OUTPUT|PREROUTING|POSTROUTING) /.test(line))
  const stale = (await chains(machine, backend, 'nat', family)).filter(
    (chain) => fivePrefixes.test(chain) && !wanted.includes(`:${chain} `),
  )
  const text = withoutJumps
    .join('\n')
    .replace(/COMMIT\n$/, `${stale.map((chain) => `-X ${chain}\n`).join('')}COMMIT\n`)
    .replace('*nat\n', `*nat\n${stale.map((chain) => `:${chain} - [0:0]\n`).join('')}`)
  await restore(machine, backend, text, family)
  return stale
}

/** The jumps as iptables prints them behind `-A BASE `. */
const printedJumps = baseJumps.map((jump) => ({
  ...jump,
  rule: formatRule(jump.rule),
  target: jump.rule.target?.name ?? '',
}))

/** The jumps, one by one, which a first sync ensures before its restore. */
export async function kubeProxyEnsuresJumps(machine: AgentMachine, backend: string, family: Family): Promise<void> {
  for (const { table, base, rule, target } of printedJumps.toReversed()) {
    const there = (await rules(machine, backend, table, [], family)).includes(`-A ${base} ${rule}`)
    const chain = (await chains(machine, backend, table, family)).includes(target) ? '' : `:${target} - [0:0]\n`
    if (!there) await restore(machine, backend, `*${table}\n${chain}-I ${base} ${rule}\nCOMMIT\n`, family)
  }
}

/**
 * `kube-proxy --cleanup`, and what a start in nftables mode does first: its jumps one by one, as far as they have its
 * own words, then all chains of a table in one restore, whose failure it only logs.
 */
export async function kubeProxyCleansUp(machine: AgentMachine, backend: string, family: Family = 4): Promise<void> {
  for (const { table, base, rule, target } of printedJumps)
    if (target !== 'KUBE-FIREWALL')
      await tryRestore(machine, backend, `*${table}\n-D ${base} ${rule}\nCOMMIT\n`, family)
  const named: Readonly<Record<string, readonly string[]>> = {
    nat: ['KUBE-SERVICES', 'KUBE-NODEPORTS', 'KUBE-POSTROUTING', 'KUBE-MARK-MASQ', 'KUBE-PROXY-CANARY'],
    filter: [
      'KUBE-SERVICES',
      'KUBE-EXTERNAL-SERVICES',
      'KUBE-FORWARD',
      'KUBE-NODEPORTS',
      'KUBE-PROXY-FIREWALL',
      'KUBE-PROXY-CANARY',
    ],
    mangle: ['KUBE-PROXY-CANARY'],
  }
  for (const [table, names] of Object.entries(named)) {
    const going = (await chains(machine, backend, table, family)).filter(
      (chain) => names.includes(chain) || (table === 'nat' && fivePrefixes.test(chain)),
    )
    const lines = [
      `*${table}`,
      ...going.map((chain) => `:${chain} - [0:0]`),
      ...going.map((chain) => `-X ${chain}`),
      'COMMIT',
      '',
    ]
    await tryRestore(machine, backend, lines.join('\n'), family)
  }
}

export async function restore(
  machine: AgentMachine,
  backend: string,
  input: string,
  family: Family = 4,
): Promise<void> {
  const { exitCode, stderr } = await tryRestore(machine, backend, input, family)
  if (exitCode !== 0 || stderr !== '') throw new Error(`iptables-${backend}-restore: ${stderr}`)
}

async function tryRestore(machine: AgentMachine, backend: string, input: string, family: Family): Promise<Ran> {
  return machine.run(`${programOf(family)}-${backend}-restore`, ['--noflush', '-w', '5'], { input })
}

/** As iptables-save prints them, with counters where asked. */
export async function rules(
  machine: AgentMachine,
  backend: string,
  table: string,
  options: readonly string[] = [],
  family: Family = 4,
): Promise<string[]> {
  return (await machine.succeed(`${programOf(family)}-${backend}-save`, ['-t', table, ...options]))
    .split('\n')
    .filter((line) => /^(\[\d+:\d+\] )?-A /.test(line))
}

export async function chains(
  machine: AgentMachine,
  backend: string,
  table: string,
  family: Family = 4,
): Promise<string[]> {
  return (await machine.succeed(`${programOf(family)}-${backend}-save`, ['-t', table])).match(/(?<=^:)\S+/gm) ?? []
}

function programOf(family: Family): 'iptables' | 'ip6tables' {
  return family === 4 ? 'iptables' : 'ip6tables'
}
