// Reads what the checks judge: from the agent, the kernel, the disk, and other nodes. Nothing is changed.
import { pino } from 'pino'
import type { AgentStatus } from '../agent/status-shape.ts'
import { CommandError } from '../kernel/command-error.ts'
import type { Iptables, IptablesBackend } from '../iptables/iptables.ts'
import type { Kernel } from '../kernel/kernel.ts'
import { legacyTables } from '../iptables/legacy-tables.ts'
import { openIptables } from '../iptables/linux-iptables.ts'
import { openKernel } from '../kernel/linux-kernel.ts'
import type { NftFields } from '../kernel/nftables.ts'
import type { Family } from '../net/address.ts'
import { formatCidr } from '../net/cidr.ts'
import { type InterfaceName, parseInterfaceName } from '../net/interface-name.ts'
import { competingConfigs } from '../pods/cni/conflist.ts'
import { policyTable } from '../policy/table.ts'
import { parseStatus, statusText } from './ask-agent.ts'
import { sysctlsRead } from './checks/sysctls.ts'
import { dropsOf } from './nft-drops.ts'
import type { Firewall, ForwardChain, NodeFacts } from './node-facts.ts'
import { probePeers } from './probe-peers.ts'

export interface Places {
  readonly stateDir: string
  /** Where no agent says another one. */
  readonly cniConfDir: string
}

export async function gatherFacts({ stateDir, cniConfDir }: Places): Promise<NodeFacts> {
  const log = pino({ level: 'silent' })
  await using kernel = openKernel({ log })
  const iptables = openIptables(kernel, { log })
  const { agent, agentFailure } = await agentOf(stateDir)
  const podCidrs = agent?.nodes.find(({ name }) => name === agent.node)?.podCidrs ?? []
  const families: readonly Family[] = podCidrs.length === 0 ? [4] : [...new Set(podCidrs.map(({ family }) => family))]
  const bridge = agent?.bridge ?? parseInterfaceName('cni0')
  const device = agent?.vxlanDevice ?? parseInterfaceName('fairlead.1')
  const directory = agent?.cniConfDir ?? cniConfDir
  const backend = await iptables.backend()
  const keys = sysctlsRead({ families, devices: [bridge, device] })
  const inForward = await Promise.all(families.map((family) => forwardOf(iptables, family, backend)))
  const otherBackend = backend === 'nft' ? 'legacy' : 'nft'
  const other = await rulesIn(openIptables(kernel, { log, backend: otherBackend }), families)
  return {
    agent,
    agentFailure,
    families,
    bridge,
    device,
    sysctls: new Map(
      await Promise.all(keys.map(async (key) => [key, (await kernel.readSysctl(key))?.trim()] as const)),
    ),
    links: await kernel.links(),
    backend,
    forwardChains: [...inForward.flat(), ...other.forwardChains],
    otherBackendRules: other.rules,
    otherBackendFailure: other.failure,
    firewalls: await firewallsOf(kernel, [bridge, ...podCidrs.map(formatCidr)]),
    cni: { directory, competing: await competingConfigs(directory) },
    peers: agent === undefined ? [] : await probePeers(agent),
    now: Date.now(),
  }
}

async function agentOf(
  stateDir: string,
): Promise<{ agent: AgentStatus | undefined; agentFailure: string | undefined }> {
  try {
    return { agent: parseStatus(await statusText(stateDir)), agentFailure: undefined }
  } catch (error) {
    return { agent: undefined, agentFailure: error instanceof Error ? error.message : String(error) }
  }
}

async function forwardOf(iptables: Iptables, family: Family, backend: IptablesBackend): Promise<ForwardChain[]> {
  const lines = await iptables.rulesOf(family, 'filter', 'FORWARD')
  return lines === undefined ? [] : [{ family, backend, lines }]
}

/** Reads what the backend that this node does not use holds. */
async function rulesIn(
  iptables: Iptables,
  families: readonly Family[],
): Promise<{ rules: number; forwardChains: ForwardChain[]; failure?: string }> {
  const backend = await iptables.backend()
  let rules = 0
  const forwardChains: ForwardChain[] = []
  try {
    for (const family of families) {
      for (const table of (['filter', 'nat'] as const).filter(
        (table) => backend === 'nft' || legacyTables(family).includes(table),
      )) {
        await iptables.readTable(family, table, (line) => (rules += Number(line.startsWith('-A '))))
        if (table === 'filter') forwardChains.push(...(await forwardOf(iptables, family, backend)))
      }
    }
  } catch (error) {
    if (!(error instanceof CommandError)) throw error
    // Without its program nobody can have made rules with it.
    if (error.kind !== 'not-installed') return { rules, forwardChains, failure: error.message }
  }
  return { rules, forwardChains }
}

const iptablesTables = ['filter', 'mangle', 'nat', 'raw', 'security'].flatMap((table) => [
  `ip ${table}`,
  `ip6 ${table}`,
])

async function firewallsOf(kernel: Kernel, names: readonly (InterfaceName | string)[]): Promise<Firewall[]> {
  const chains = ((await kernel.listNft('chains')) ?? []).flatMap(({ chain }): NftFields[] =>
    chain === undefined ? [] : [chain],
  )
  const tables = new Set(
    chains.filter(({ hook }) => hook === 'forward').map(({ family, table }) => `${String(family)} ${String(table)}`),
  )
  const foreign = [...tables].filter((table) => table !== policyTable && !iptablesTables.includes(table))
  return await Promise.all(
    foreign.map(async (table) => {
      const objects = (await kernel.listNft(`table ${table}`)) ?? []
      const text = JSON.stringify(objects)
      return {
        table,
        drops: dropsOf(objects),
        knowsPods: names.some((name) => text.includes(`"${name.split('/')[0]}"`)),
      }
    }),
  )
}
