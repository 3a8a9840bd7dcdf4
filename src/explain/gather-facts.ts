// Reads the facts for the checks from the agent, the kernel, the disk and other nodes. It changes nothing.
import { pino } from 'pino'
import type { AgentStatus } from '../agent/status-shape.ts'
import { CommandError } from '../kernel/command-error.ts'
import type { Iptables, IptablesBackend } from '../iptables/iptables.ts'
import { legacyTables } from '../iptables/legacy-tables.ts'
import { openIptables } from '../iptables/linux-iptables.ts'
import { openKernel } from '../kernel/linux-kernel.ts'
import type { Family } from '../net/address.ts'
import { formatCidr } from '../net/cidr.ts'
import { parseInterfaceName } from '../net/interface-name.ts'
import { competingConfigs } from '../pods/cni/conflist.ts'
import { parseStatus, statusText } from './ask-agent.ts'
import { sysctlsRead } from './checks/sysctls.ts'
import type { ForwardChain, NodeFacts } from './node-facts.ts'
import { probePeers } from './probe-peers.ts'
import { readNft } from './read-nft.ts'

export interface Places {
  readonly stateDir: string
  /** The folder to use while no agent reports another one. */
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
  const failures: string[] = []
  const backend = await orElse('nft', iptables.backend(), failures)
  const keys = sysctlsRead({ families, devices: [bridge, device] })
  const inForward = await Promise.all(
    families.map(async (family) => orElse([], forwardOf(iptables, family, backend), failures)),
  )
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
    links: await orElse([], kernel.links(), failures),
    backend,
    forwardChains: [...inForward.flat(), ...other.forwardChains],
    otherBackendRules: other.rules,
    otherBackendFailure: other.failure,
    nft: await orElse(undefined, readNft(kernel, [bridge, ...podCidrs.map(formatCidr)]), failures),
    failures,
    cni: { directory, competing: await competingConfigs(directory) },
    peers: agent === undefined ? [] : await probePeers(agent),
    now: Date.now(),
  }
}

/** Returns what a tool prints. If the tool fails, records the failure and returns `otherwise`. */
async function orElse<T>(otherwise: T, answer: Promise<T>, failures: string[]): Promise<T> {
  try {
    return await answer
  } catch (error) {
    if (!(error instanceof CommandError)) throw error
    failures.push(error.message)
    return otherwise
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

/** Reads the rules in the backend that this node does not use. */
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
    // Without the program there can be no rules in its backend.
    if (error.kind !== 'not-installed') return { rules, forwardChains, failure: error.message }
  }
  return { rules, forwardChains }
}
