// What `fairlead cleanup --foreign` does: takes away what flannel, kindnet, kube-router, kube-proxy and the reference
// plugins left on the node once they are gone. First nothing leads traffic to them any more, then their devices go,
// then their files. Ours stays, and an agent may run meanwhile.
import { existsSync, readFileSync } from 'node:fs'
import { pino } from 'pino'
import { CommandError } from '../../kernel/command-error.ts'
import { readIpSets } from '../../kernel/ip-sets.ts'
import type { Iptables, IptablesBackend, IptablesTable } from '../../iptables/iptables.ts'
import { legacyTables } from '../../iptables/legacy-tables.ts'
import { ourGroup, retiredGroup, type Kernel } from '../../kernel/kernel.ts'
import { openIptables } from '../../iptables/linux-iptables.ts'
import { openKernel } from '../../kernel/linux-kernel.ts'
import { readNftTables } from '../../kernel/nft-tables.ts'
import { nftView } from '../../kernel/nftables.ts'
import type { Link } from '../../kernel/observed.ts'
import { hasRoutes, readPolicyRules } from '../../kernel/routing-rules.ts'
import { runProgram } from '../../kernel/run.ts'
import type { Family } from '../../net/address.ts'
import type { CleanupReport } from '../cleanup.ts'
import { removePath } from '../cleanup-files.ts'
import { fileRemovals, flannelNetworks, type ForeignDirectories } from './files.ts'
import { linkRemovals, nftRemovals, policyRuleRemovals, routeRemovals, setRemovals, tunnelTable } from './links.ts'
import { podNetworks } from './networks.ts'
import { ownerNames } from './owners.ts'
import { ForeignPods, podRecords } from './pods.ts'
import { type Removals, type Step, stepCommands, together } from './removals.ts'
import { ruleRemovals, type TableLines } from './rules.ts'
import { type RunningPrograms, runningPrograms } from './running.ts'

export interface ForeignCleanupOptions extends ForeignDirectories {
  /** Change nothing, and tell what would be. */
  readonly dryRun: boolean
}

type Backends = Readonly<Record<IptablesBackend, Iptables>>

const backends = ['nft', 'legacy'] as const
const families = [4, 6] as const
const tableNames: readonly IptablesTable[] = ['nat', 'filter', 'mangle']

/** @throws {CommandError} when what there is cannot be read: then nothing has been removed. */
export async function cleanUpForeign(options: ForeignCleanupOptions): Promise<CleanupReport> {
  const log = pino({ level: 'warn' }, pino.destination({ fd: 2, sync: true }))
  await using kernel = openKernel({ log })
  const iptables: Backends = {
    nft: openIptables(kernel, { log, backend: 'nft' }),
    legacy: openIptables(kernel, { log, backend: 'legacy' }),
  }
  const running = runningPrograms()
  const { steps, kept, held } = await plan(options, { kernel, iptables }, running)
  const commands: string[] = []
  const failures: string[] = []
  for (const step of steps) {
    // Told before it is done: a path tells what it was.
    const told = stepCommands(step)
    try {
      if (!options.dryRun) await carryOut(step, iptables)
      commands.push(...told)
    } catch (error) {
      if (!isGone(error)) failures.push(error instanceof Error ? error.message : String(error))
    }
  }
  const found = steps.length > 0 || held.length > 0
  return {
    dryRun: options.dryRun,
    commands,
    kept: [
      ...kept,
      ...held.map((owner) => `what is ${ownerNames[owner]}'s stays, for it runs on this node: stop it first`),
      ...(found ? doubts(running) : []),
    ],
    failures,
  }
}

async function plan(
  directories: ForeignDirectories,
  { kernel, iptables }: { kernel: Kernel; iptables: Backends },
  { owners }: RunningPrograms,
): Promise<Removals> {
  const links = await kernel.links()
  const tables = await readTables(iptables)
  const pods = new ForeignPods(podRecords(directories.cniDir), { foreignWires: links.some(isForeignWire) })
  const routes = (await Promise.all(families.map(async (family) => kernel.routes(family)))).flat()
  const policyRules = (await Promise.all(families.map(readPolicyRules))).flat()
  const filled = new Set<Family>()
  for (const family of families) if (await hasRoutes(family, tunnelTable)) filled.add(family)
  const sets = await readIpSets()
  const rules = ruleRemovals(tables, {
    running: owners,
    podLives: (network, container) => pods.live(network, container),
    anyPodLives: pods.anyLive,
  })
  const unseen = sets === undefined && tables.some(({ lines }) => lines.some((line) => line.includes(' --match-set ')))
  return together([
    {
      ...rules,
      kept: [
        ...rules.kept,
        ...(unseen
          ? ['sets of ipset could not be looked for, though rules use some: install ipset here, then run this again']
          : []),
      ],
    },
    nftRemovals(await readNftTables(kernel), owners),
    setRemovals(sets ?? [], owners),
    policyRuleRemovals(policyRules, filled, owners),
    routeRemovals(routes, podNetworks(tables, flannelNetworks()), links, owners),
    linkRemovals(links, owners),
    fileRemovals(directories, pods, owners),
    { steps: [], kept: virtualServers(), held: [] },
  ])
}

/** Every table of both backends that is there: legacy makes one for whoever reads it. */
async function readTables(iptables: Backends): Promise<TableLines[]> {
  const tables: TableLines[] = []
  for (const backend of backends) {
    for (const family of families) {
      const legacy = legacyTables(family)
      const there = backend === 'nft' ? tableNames : tableNames.filter((table) => legacy.includes(table))
      for (const table of there) {
        const lines: string[] = []
        try {
          await iptables[backend].readTable(family, table, (line) => lines.push(line))
        } catch (error) {
          // A node without ip6tables, or without one of the backends, has no rules there.
          if (!(error instanceof CommandError && error.kind === 'not-installed')) throw error
        }
        tables.push({ backend, family, table, lines })
      }
    }
  }
  return tables
}

/** As the reference plugins and kindnet name theirs. */
function isForeignWire({ name, type, group }: Link): boolean {
  return (
    type === 'veth' && group !== ourGroup && group !== retiredGroup && /^(veth[0-9a-f]{8}|knet[0-9a-f]+)$/.test(name)
  )
}

async function carryOut(step: Step, iptables: Backends): Promise<void> {
  if (step.by === 'restore') return iptables[step.backend].restore(step.family, step.text)
  if (step.by === 'path') return removePath(step.path)
  const [program = '', ...args] = step.words
  // nft need not know what is in the table that it deletes, which a newer nft may have written.
  await runProgram(program, args, { timeout: 60_000, ...(program === 'nft' && { environment: nftView('') }) })
}

/** What is gone meanwhile was to go. */
function isGone(error: unknown): boolean {
  return (
    (error instanceof CommandError && error.kind === 'missing') || (error as NodeJS.ErrnoException).code === 'ENOENT'
  )
}

/** kube-proxy's in mode ipvs; there is no telling which of them are others'. */
function virtualServers(): string[] {
  const path = '/proc/net/ip_vs'
  const count = existsSync(path) ? (readFileSync(path, 'utf8').match(/^(TCP|UDP|SCTP) /gm) ?? []).length : 0
  return count === 0
    ? []
    : [
        `${count} virtual servers of IPVS stay: whose they are cannot be told; if nothing on this node uses IPVS, remove them with ipvsadm --clear`,
      ]
}

function doubts({ distribution, ofHost }: RunningPrograms): string[] {
  return [
    ...(distribution === undefined
      ? []
      : [
          `${distribution} runs on this node and brings back what it has not been told to leave out (--flannel-backend=none, --disable-kube-proxy, --disable-network-policy)`,
        ]),
    ...(ofHost
      ? []
      : [
          'processes of the host are not seen from here, so whether one of those programs still runs on it is not known',
        ]),
  ]
}
