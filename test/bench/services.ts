// Services: what a change, a start and a new connection cost, beside kube-proxy's way of doing it, on both backends.
//
// BENCH_SERVICES sets the size (10000); BENCH_COLD the sizes of the one-shot cold start on nft, which takes a minute at 5,000 and five at 10,000 (2000).
import { execFileSync } from 'node:child_process'
import pino from 'pino'
import type { IptablesBackend, Kernel } from '../../src/kernel/kernel.ts'
import { openKernel } from '../../src/kernel/linux-kernel.ts'
import { createNamespace, deleteNamespace, namespacePath } from '../../src/kernel/netns.ts'
import { runProgram } from '../../src/kernel/run.ts'
import { desiredRules } from '../../src/services/desired.ts'
import { flatEndpoints, flatFrontends } from '../../src/services/flat-layout.ts'
import { nodeFacts } from '../../src/services/node-facts.ts'
import { Services } from '../../src/services/services.ts'
import { tableText } from '../../src/services/table-text.ts'
import { node, options, TestCluster } from '../netns/services-cluster.ts'
import type { BenchRow } from './bench-row.ts'
import { median } from './statistics.ts'

const log = pino({ level: 'silent' })
const size = Number(process.env['BENCH_SERVICES'] ?? 10_000)
const coldSizes = (process.env['BENCH_COLD'] ?? '2000').split(',').map(Number)
const backends: readonly IptablesBackend[] = ['nft', 'legacy']
const coldBudgets = new Map([[2000, 0.3], [5000, 0.1]])
/** A datagram is a whole connection. */
const udp = { ports: [{ name: '', protocol: 'udp' as const, port: 80, nodePort: 0 }] }

export async function servicesBench(): Promise<readonly BenchRow[]> {
  const rows: BenchRow[] = []
  for (const backend of backends) rows.push(...(await atSize(backend)))
  for (const cold of coldSizes) rows.push(await coldStart(cold))
  return rows
}

/** Two nodes with the same Services, one laid out as a tree and one flat: a change and a new connection on each in turn. */
async function atSize(backend: IptablesBackend): Promise<BenchRow[]> {
  await using ours = await Bed.make(backend, 'tree', size)
  await using peer = await Bed.make(backend, 'flat', size)
  await using empty = await Bed.make(backend, 'tree', 0)
  const start = await ours.sync()
  await peer.sync()
  await empty.sync()

  const changes: [number[], number[]] = [[], []]
  for (let run = 0; run < 9; run++) {
    const n = 1 + run * 7
    for (const bed of [ours, peer]) bed.cluster.endpoints(n, [`10.245.${run}.1`, `10.245.${run}.2`, `10.245.${run}.3`])
    changes[0].push(await ours.sync())
    const text = peer.partialSync(n)
    changes[1].push(await timed(async () => peer.kernel.restoreRules(4, text)))
  }
  const where = `${size} Services x 3, ${backend}`
  return [
    row({ name: `all rules in force from nothing, ${where}`, ours: [start], unit: 's' }),
    row({ name: `one endpoint changes among ${where}`, ours: changes[0], peer: changes[1], unit: 's', budget: size < 10_000 ? null : backend === 'nft' ? 0.05 : 0.8 }),
    ...(await newConnections(where, { ours, peer, empty })),
  ]
}

async function newConnections(where: string, { ours, peer, empty }: Record<'ours' | 'peer' | 'empty', Bed>): Promise<BenchRow[]> {
  const all = [...ours.cluster.services.values()].map(({ clusterIps: [address] }) => String(address))
  const targets = { first: all[0], middle: all[Math.floor(all.length / 2)], last: all.at(-1), 'no Service': '10.200.0.1' }
  const rows: BenchRow[] = []
  for (const [what, address = ''] of Object.entries(targets)) {
    const samples: Record<'ours' | 'peer' | 'empty', number[]> = { ours: [], peer: [], empty: [] }
    for (let run = 0; run < 5; run++) for (const [key, bed] of Object.entries({ ours, peer, empty })) samples[key as 'ours'].push(await bed.firstPackets(address))
    if (what === 'last' || what === 'no Service') rows.push(row({ name: `first packet to ${what}, tree beside flat, ${where}`, ours: samples.ours, peer: samples.peer, unit: 'us', budget: what === 'last' && size >= 10_000 ? 0.1 : null }))
    rows.push(row({ name: `first packet to ${what}, tree beside no Services at all, ${where}`, ours: samples.ours, peer: samples.empty, unit: 'us', budget: what === 'last' ? 1.5 : null }))
  }
  return rows
}

/** The same text in one restore is the peer: what a kube-proxy writes when it starts. */
async function coldStart(count: number): Promise<BenchRow> {
  const [ours, peer]: [number[], number[]] = [[], []]
  for (let run = 0; run < (count > 3000 ? 1 : 3); run++) {
    await using mine = await Bed.make('nft', 'tree', count)
    ours.push(await mine.sync())
    await using theirs = await Bed.make('nft', 'flat', count)
    const [services, slices] = theirs.cluster.snapshot
    const { rules } = desiredRules({ services: services.values(), slices: slices.values(), options: { ...options, layout: 'flat' }, node: nodeFacts(node, 4, []) }, { endpoints: flatEndpoints, frontends: flatFrontends })
    const text = tableText(rules)
    peer.push(await timed(async () => theirs.kernel.restoreRules(4, text)))
  }
  return row({ name: `cold start beside one restore of the same rules, ${count} Services x 3, nft`, ours, peer, unit: 's', budget: coldBudgets.get(count) ?? null })
}

class Bed implements AsyncDisposable {
  readonly cluster = new TestCluster()
  readonly kernel: Kernel
  readonly #name: string
  readonly #services: Services

  private constructor(name: string, backend: IptablesBackend, layout: 'tree' | 'flat') {
    this.#name = name
    this.kernel = openKernel({ netns: namespacePath(name), log, iptables: backend })
    this.#services = new Services({ kernel: this.kernel, log, families: [4] })
    this.#services.configure({ ...options, layout })
  }

  static async make(backend: IptablesBackend, layout: 'tree' | 'flat', count: number): Promise<Bed> {
    const name = `bench-${backend}-${layout}-${count}`
    await createNamespace(name)
    const bed = new Bed(name, backend, layout)
    for (let n = 1; n <= count; n++) bed.cluster.add(n, 3, udp)
    // Everything has a way out, which leads nowhere: what is measured is what happens before.
    await bed.#run('sh', ['-c', 'ip link set lo up && ip link add out type veth peer name away && ip addr add 192.168.0.21/24 dev out && ip link set out up && ip link set away up && ip route add default via 192.168.0.1 && ip neigh add 192.168.0.1 lladdr 02:00:00:00:00:01 dev out'])
    return bed
  }

  async sync(): Promise<number> {
    this.#services.update(...this.cluster.snapshot)
    return timed(async () => this.#services.sync())
  }

  /** The text of a partial sync as kube-proxy makes it: the chains of the Service that changed, and all of KUBE-SERVICES, whatever is in it. */
  partialSync(n: number): string {
    const [services, slices] = this.cluster.snapshot
    const changed = new Map([[`ns/svc-${n}`, services.get(`ns/svc-${n}`)]].flatMap(([key, service]) => (typeof key === 'string' && typeof service === 'object' ? [[key, service]] : [])))
    const parts = { options: { ...options, layout: 'flat' as const }, node: nodeFacts(node, 4, []) }
    const layouts = { endpoints: flatEndpoints, frontends: flatFrontends }
    const whole = desiredRules({ services: services.values(), slices: slices.values(), ...parts }, layouts).rules
    const own = desiredRules({ services: changed.values(), slices: [slices.get(`ns/svc-${n}-slice`)].flatMap((slice) => slice ?? []), ...parts }, layouts).rules.nat
    const nat = new Map([...own].map(([chain]) => [chain, whole.nat.get(chain) ?? []]))
    return tableText({ filter: whole.filter, nat }).replaceAll(/^-A (INPUT|FORWARD|OUTPUT|PREROUTING|POSTROUTING) .*\n/gm, '')
  }

  /** us of the median first packet. */
  async firstPackets(address: string): Promise<number> {
    await this.#run('conntrack', ['-F'])
    return Number(await this.#run(firstPacketsProgram(), [address, '500'])) / 1000
  }

  async #run(program: string, args: readonly string[]): Promise<string> {
    return (await runProgram('nsenter', [`--net=${namespacePath(this.#name)}`, program, ...args])).stdout
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kernel[Symbol.asyncDispose]()
    await deleteNamespace(this.#name)
  }
}

let built: string | undefined

function firstPacketsProgram(): string {
  if (built === undefined) {
    built = '/run/first-packets'
    execFileSync('gcc', ['-O2', '-o', built, `${import.meta.dirname}/first-packets.c`])
  }
  return built
}

/** Seconds. */
async function timed(work: () => Promise<unknown>): Promise<number> {
  const begin = performance.now()
  await work()
  return (performance.now() - begin) / 1000
}

function row({ name, ours, peer, unit, budget = null }: { name: string; ours: readonly number[]; peer?: readonly number[]; unit: string; budget?: number | null }): BenchRow {
  const [mine, theirs] = [median(ours), peer === undefined ? null : median(peer)]
  return { name, ours: mine, peer: theirs, unit, ratio: theirs === null ? null : mine / theirs, budget, runs: ours.length }
}
