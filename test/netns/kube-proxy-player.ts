// kube-proxy, played by its rules word for word (the flat layout is compared with its golden files elsewhere), and by
// what its full sync and its --cleanup do to chains.
import { parseCidr } from '../../src/net/cidr.ts'
import type { Manifest } from '../../src/services/manifests.ts'
import { defaultOptions } from '../../src/services/options.ts'
import { renderManifests } from '../../src/services/render-manifests.ts'
import { tableText } from '../../src/services/table-text.ts'
import type { AgentMachine } from './agent-machine.ts'

/** What kube-proxy writes for the objects that the API server has. */
export async function kubeProxyRules(machine: AgentMachine): Promise<string> {
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
    detectLocal: { by: 'clusterCidr', cidrs: [clusterCidr] },
  })
  return families
    .filter(({ family }) => family === 4)
    .map(({ rules }) => tableText(rules))
    .join('')
}

const clusterCidr = parseCidr('10.244.0.0/16')
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
export async function kubeProxySyncs(machine: AgentMachine, backend: string): Promise<string[]> {
  const wanted = await kubeProxyRules(machine)
  const withoutJumps = wanted
    .split('\n')
    .filter((line) => !/^-A (INPUT|FORWARD|OUTPUT|PREROUTING|POSTROUTING) /.test(line))
  const stale = (await chains(machine, backend, 'nat')).filter(
    (chain) => fivePrefixes.test(chain) && !wanted.includes(`:${chain} `),
  )
  const text = withoutJumps
    .join('\n')
    .replace(/COMMIT\n$/, `${stale.map((chain) => `-X ${chain}\n`).join('')}COMMIT\n`)
    .replace('*nat\n', `*nat\n${stale.map((chain) => `:${chain} - [0:0]\n`).join('')}`)
  await restore(machine, backend, text)
  return stale
}

/** `kube-proxy --cleanup`. */
export async function kubeProxyCleansUp(machine: AgentMachine, backend: string): Promise<void> {
  const named: Readonly<Record<string, readonly string[]>> = {
    filter: [
      'KUBE-SERVICES',
      'KUBE-EXTERNAL-SERVICES',
      'KUBE-FORWARD',
      'KUBE-NODEPORTS',
      'KUBE-PROXY-FIREWALL',
      'KUBE-PROXY-CANARY',
    ],
    nat: ['KUBE-SERVICES', 'KUBE-NODEPORTS', 'KUBE-POSTROUTING', 'KUBE-MARK-MASQ', 'KUBE-PROXY-CANARY'],
    mangle: ['KUBE-PROXY-CANARY'],
  }
  for (const [table, names] of Object.entries(named)) {
    const going = (await chains(machine, backend, table)).filter(
      (chain) => names.includes(chain) || (table === 'nat' && fivePrefixes.test(chain)),
    )
    const jumps = (await rules(machine, backend, table)).filter(
      (rule) =>
        /^-A (INPUT|FORWARD|OUTPUT|PREROUTING|POSTROUTING) /.test(rule) &&
        names.some((name) => rule.endsWith(` -j ${name}`)),
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

export async function restore(machine: AgentMachine, backend: string, input: string): Promise<void> {
  const { exitCode, stderr } = await machine.run(`iptables-${backend}-restore`, ['--noflush'], { input })
  if (exitCode !== 0 || stderr !== '') throw new Error(`iptables-${backend}-restore: ${stderr}`)
}

/** As iptables-save prints them, with counters where asked. */
export async function rules(
  machine: AgentMachine,
  backend: string,
  table: string,
  options: readonly string[] = [],
): Promise<string[]> {
  return (await machine.succeed(`iptables-${backend}-save`, ['-t', table, ...options]))
    .split('\n')
    .filter((line) => /^(\[\d+:\d+\] )?-A /.test(line))
}

export async function chains(machine: AgentMachine, backend: string, table: string): Promise<string[]> {
  return (await machine.succeed(`iptables-${backend}-save`, ['-t', table])).match(/(?<=^:)\S+/gm) ?? []
}
