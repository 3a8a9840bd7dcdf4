// Services: what a start, a change and a new connection cost, beside kube-proxy's way of doing it, on both backends;
// and what a real agent costs.
import type { IptablesBackend } from '../../src/iptables/iptables.ts'
import { type BenchRow, rowOf } from './bench-row.ts'
import { Bed, seconds } from './services-bed.ts'
import { ServiceScene } from './services-agent.ts'

const backends: readonly IptablesBackend[] = ['nft', 'legacy']
/** The sizes that budgets are for. */
const large = 10_000
const changeBudgets = { nft: 0.05, legacy: 0.8 }
const coldBudgets = new Map([
  [2000, 0.3],
  [5000, 0.1],
])
const agentBudgets = { nft: { start: 6, change: 0.15 }, legacy: { start: 4, change: 0.7 } }
const nodes = 1000

export interface ServicesBench {
  readonly sizes: readonly number[]
  readonly cold: readonly number[]
  readonly agent: readonly number[]
}

export async function servicesBench({ sizes, cold, agent }: ServicesBench): Promise<readonly BenchRow[]> {
  const rows: BenchRow[] = []
  for (const size of sizes) {
    if (size > large) rows.push(...(await oursAlone(size)))
    else for (const backend of backends) rows.push(...(await besideFlat(backend, size)))
  }
  for (const size of cold) rows.push(await coldStart(size))
  for (const size of agent) rows.push(...(await realAgent(size)))
  return rows
}

/**
 * Two nodes with the same Services, one laid out as a tree and one flat: a change and a new connection on each in turn.
 */
async function besideFlat(backend: IptablesBackend, size: number): Promise<BenchRow[]> {
  await using ours = await Bed.make(backend, 'tree', size)
  await using peer = await Bed.make(backend, 'flat', size)
  await using empty = await Bed.make(backend, 'tree', 0)
  const start = await ours.sync()
  for (const bed of [peer, empty]) await bed.sync()

  const changes: [number[], number[]] = [[], []]
  for (let run = 0; run < 11; run++) {
    const n = 1 + run * 7
    for (const bed of [ours, peer]) bed.cluster.endpoints(n, [`10.245.${run}.1`, `10.245.${run}.2`, `10.245.${run}.3`])
    changes[0].push(await ours.sync())
    const text = peer.partialText(n)
    changes[1].push(await seconds(async () => peer.iptables.restore(4, text)))
  }
  const where = `${size} Services x 3, ${backend}`
  return [
    rowOf({ name: `all rules in force from nothing, ${where}`, ours: [start], unit: 's' }),
    rowOf({
      name: `endpoints of one Service change among ${where}`,
      ours: changes[0],
      peer: changes[1],
      unit: 's',
      budget: size === large ? changeBudgets[backend] : null,
    }),
    ...(await newConnections(where, { ours, peer, empty }, size === large)),
  ]
}

async function newConnections(
  where: string,
  { ours, peer, empty }: Record<'ours' | 'peer' | 'empty', Bed>,
  budgets: boolean,
): Promise<BenchRow[]> {
  const rows: BenchRow[] = []
  for (const [what, address] of Object.entries(targetsOn(ours))) {
    const samples = await inTurn({ ours, peer, empty }, address, 21)
    rows.push(
      rowOf({
        name: `first packet to ${what}, beside the flat layout, ${where}`,
        ours: samples.ours,
        peer: samples.peer,
        unit: 'us',
        budget: budgets && what === 'last' ? 0.1 : null,
      }),
    )
    rows.push(
      rowOf({
        name: `first packet to ${what}, beside no Services at all, ${where}`,
        ours: samples.ours,
        peer: samples.empty,
        unit: 'us',
        budget: budgets ? 1.5 : null,
      }),
    )
  }
  return rows
}

/** One that no flat layout holds: only that ours still works there. */
async function oursAlone(size: number): Promise<BenchRow[]> {
  await using ours = await Bed.make('nft', 'tree', size)
  await using empty = await Bed.make('nft', 'tree', 0)
  const start = await ours.sync()
  await empty.sync()
  const changes: number[] = []
  for (let run = 0; run < 11; run++) {
    ours.cluster.endpoints(1 + run * 7, [`10.245.${run}.1`, `10.245.${run}.2`, `10.245.${run}.3`])
    changes.push(await ours.sync())
  }
  const where = `${size} Services x 3, nft`
  const rows = [
    rowOf({ name: `all rules in force from nothing, ${where}`, ours: [start], unit: 's' }),
    rowOf({ name: `endpoints of one Service change among ${where}`, ours: changes, unit: 's' }),
  ]
  for (const [what, address] of Object.entries(targetsOn(ours))) {
    const samples = await inTurn({ ours, empty }, address, 21)
    rows.push(
      rowOf({
        name: `first packet to ${what}, beside no Services at all, ${where}`,
        ours: samples.ours,
        peer: samples.empty,
        unit: 'us',
      }),
    )
  }
  return rows
}

function targetsOn({ cluster }: Bed): Record<string, string> {
  const all = [...cluster.services.values()].map(({ clusterIps: [address] }) => String(address))
  return {
    first: all[0] ?? '',
    middle: all[Math.floor(all.length / 2)] ?? '',
    last: all.at(-1) ?? '',
    'no Service': '10.200.0.1',
  }
}

/** Each round begins with another bed: what a machine does now and then hits all of them alike. */
async function inTurn<K extends string>(
  beds: Record<K, Bed>,
  address: string,
  rounds: number,
): Promise<Record<K, number[]>> {
  const names = Object.keys(beds) as K[]
  const samples = Object.fromEntries(names.map((name) => [name, []])) as unknown as Record<K, number[]>
  for (let round = 0; round < rounds; round++) {
    const from = round % names.length
    for (const name of [...names.slice(from), ...names.slice(0, from)])
      samples[name].push(await beds[name].firstPackets(address))
  }
  return samples
}

/** The same text in one restore is the peer: what a kube-proxy writes when it starts. */
async function coldStart(size: number): Promise<BenchRow> {
  const [ours, peer]: [number[], number[]] = [[], []]
  for (let run = 0; run < (size > 3000 ? 1 : 3); run++) {
    await using mine = await Bed.make('nft', 'tree', size)
    ours.push(await mine.sync())
    await using theirs = await Bed.make('nft', 'flat', size)
    const text = theirs.wholeText()
    peer.push(await seconds(async () => theirs.iptables.restore(4, text)))
  }
  return rowOf({
    name: `cold start beside one restore of the same rules, ${size} Services x 3, nft`,
    ours,
    peer,
    unit: 's',
    budget: coldBudgets.get(size) ?? null,
  })
}

async function realAgent(size: number): Promise<BenchRow[]> {
  await using scene = await ServiceScene.make({ services: size, nodes })
  const rows: BenchRow[] = []
  for (const backend of backends) {
    const costs = await scene.run({ backend, idleSeconds: 120, changes: 41 })
    const where = `${size} Services x 3, ${nodes} Nodes, ${backend}`
    const { start, change } = agentBudgets[backend]
    const budget = (value: number): number | null => (size === large ? value : null)
    rows.push(
      rowOf({
        name: `from the agent's start to all rules in force, ${where}`,
        ours: [costs.startSeconds],
        unit: 's',
        budget: budget(start),
      }),
      rowOf({
        name: `from the API server's event to the rule in force, ${where}`,
        ours: costs.changes,
        unit: 's',
        budget: budget(change),
      }),
      rowOf({ name: `agent's memory, ${where}`, ours: [costs.megabytes], unit: 'MB', budget: budget(150) }),
      rowOf({ name: `agent's memory at its peak, ${where}`, ours: [costs.peakMegabytes], unit: 'MB' }),
      rowOf({
        name: `idle CPU of the agent and what it starts, % of a core, ${where}`,
        ours: [costs.idlePercent],
        unit: '%',
        budget: budget(0.5),
      }),
    )
  }
  return rows
}
