// Policies: what a start, a pod and a policy cost in a cluster of many, and what a packet costs.
//
// BENCH_POLICIES, BENCH_PODS and BENCH_LOCAL_PODS set the size (1000, 5000, 300).
import { execFileSync } from 'node:child_process'
import pino from 'pino'
import type { Kernel } from '../../src/kernel/kernel.ts'
import { openKernel } from '../../src/kernel/linux-kernel.ts'
import { createNamespace, deleteNamespace, namespacePath } from '../../src/kernel/netns.ts'
import { runProgram } from '../../src/kernel/run.ts'
import { parseInterfaceName } from '../../src/net/interface-name.ts'
import type { LocalPod } from '../../src/policy/local-pod.ts'
import { Policies } from '../../src/policy/policies.ts'
import { ScratchCluster, wired } from '../../src/policy/scratch-cluster.ts'
import type { PolicySettings } from '../../src/policy/settings.ts'
import type { BenchRow } from './bench-row.ts'
import { policyAgent } from './policy-agent.ts'
import { policyCluster } from './policy-cluster.ts'
import { median } from './statistics.ts'
import { type NftCost, timedNft } from './timed-nft.ts'

const log = pino({ level: 'silent' })
const size = {
  policies: Number(process.env['BENCH_POLICIES'] ?? 1000),
  pods: Number(process.env['BENCH_PODS'] ?? 5000),
  locals: Number(process.env['BENCH_LOCAL_PODS'] ?? 300),
}
const settings: PolicySettings = { nodeName: 'n1', families: [4], judgeOpenConnections: true, log: undefined }
const [client, server] = ['10.99.0.5', '10.99.1.5']

export async function policyBench(): Promise<readonly BenchRow[]> {
  return [...(await changes()), ...(await inKernel()), ...(await packets()), ...(await wires()), ...(await realAgent())]
}

/** One node that starts, and then sees one thing change at a time. */
async function changes(): Promise<BenchRow[]> {
  await using bed = await Bed.make('changes')
  const before = heap()
  const { cluster, locals, add } = policyCluster(new ScratchCluster(), size)
  const objects = heap() - before
  const start = await bed.sync(cluster, locals)
  const held = heap() - before - objects
  const [local, remote, policy, nothing]: [Cost[], Cost[], Cost[], Cost[]] = [[], [], [], []]
  for (let run = 0; run < 15; run++) {
    const key = add(true)
    local.push(await bed.sync(cluster, locals))
    cluster.remove('pods', key)
    locals.pop()
    await bed.sync(cluster, locals)
    add(false)
    remote.push(await bed.sync(cluster, locals))
    cluster.policy('ns-0/policy-0', { podSelector: {}, ingress: [{ ports: [{ port: 1000 + run }] }] })
    policy.push(await bed.sync(cluster, locals))
    nothing.push(await bed.sync(cluster, locals))
  }
  const look = await bed.look()
  const where = `${size.policies} policies, ${size.pods} pods, ${size.locals} of them here`
  const both = (what: string, costs: readonly Cost[]): BenchRow[] => [
    row({ name: `${what}: in all`, ours: costs.map(({ all }) => all), unit: 'ms' }),
    row({ name: `${what}: of it nft, with its start`, ours: costs.map(({ kernel }) => kernel), unit: 'ms' }),
  ]
  return [
    row({
      name: `all computed and in force from nothing, ${where} (5,000 ms is the budget)`,
      ours: [start.all],
      unit: 'ms',
    }),
    ...both('one pod comes to this node', local),
    ...both('one pod comes to another node', remote),
    ...both('one policy changes', policy),
    row({ name: 'a sync that finds nothing to do', ours: nothing.map(({ all }) => all), unit: 'ms' }),
    row({ name: 'a look at everything', ours: [look], unit: 'ms' }),
    row({ name: 'memory for the objects of the cluster', ours: [objects / 2 ** 20], unit: 'MB' }),
    row({ name: 'memory for what is made of them', ours: [held / 2 ** 20], unit: 'MB' }),
  ]
}

/** One pod that comes to the node, beside who replaces the whole table for it: what each holds the kernel for. */
async function inKernel(): Promise<BenchRow[]> {
  await using bed = await Bed.make('kernel')
  const { cluster, locals, add } = policyCluster(new ScratchCluster(), size)
  const nft = timedNft(bed.kernel, bed.path)
  const policiesOf = (): Policies => {
    const policies = new Policies({ kernel: nft.kernel, log })
    policies.configure(settings)
    return policies
  }
  const policies = policiesOf()
  await policies.sync(cluster.snapshots, locals)
  const [ours, whole]: [NftCost[], NftCost[]] = [[], []]
  for (let run = 0; run < 9; run++) {
    const key = add(true)
    await policies.sync(cluster.snapshots, locals)
    ours.push(nft.cost())
    // It knows of no table yet, and so writes all of it.
    await policiesOf().sync(cluster.snapshots, locals)
    whole.push(nft.cost())
    cluster.remove('pods', key)
    locals.pop()
    await policies.sync(cluster.snapshots, locals)
  }
  return [
    row({
      name: 'one pod comes to this node: CPU in the kernel',
      ours: ours.map(({ kernel }) => kernel),
      unit: 'ms',
      budget: 20,
    }),
    row({
      name: 'one pod comes to this node: CPU in the kernel, beside the whole table written anew',
      ours: ours.map(({ kernel }) => kernel),
      peer: whole.map(({ kernel }) => kernel),
      unit: 'ms',
    }),
    row({
      name: 'one pod comes to this node: CPU of nft itself, beside the whole table written anew',
      ours: ours.map(({ nft }) => nft),
      peer: whole.map(({ nft }) => nft),
      unit: 'ms',
    }),
  ]
}

/** A process of its own, as on a node, fed by the lab's API server. */
async function realAgent(): Promise<BenchRow[]> {
  const { startSeconds, megabytes, peakMegabytes, idlePercent } = await policyAgent(size)
  const where = `a real agent, ${size.policies} policies, ${size.pods} pods, ${size.locals} of them here`
  return [
    row({ name: `${where}: from its start to all verdicts in force`, ours: [startSeconds], unit: 's' }),
    row({ name: `${where}: memory while nothing happens`, ours: [megabytes], unit: 'MB' }),
    row({ name: `${where}: memory at most`, ours: [peakMegabytes], unit: 'MB' }),
    row({
      name: `${where}: of one core while nothing happens, with all that it starts`,
      ours: [idlePercent],
      unit: '%',
      budget: 0.5,
    }),
  ]
}

/**
 * Two isolated pods that may talk to each other, on nodes with one policy, with many, with none; a new flow each
 * packet, or one flow.
 */
async function packets(): Promise<BenchRow[]> {
  await using many = await Bed.make('many')
  await using one = await Bed.make('one')
  await using keep = await Bed.make('keep', { of: { ...settings, judgeOpenConnections: false } })
  await using none = await Bed.make('none')
  for (const [bed, policies] of [
    [many, size.policies],
    [one, 0],
    [keep, size.policies],
  ] as const)
    await bed.sync(...talking(policies))
  const beds = { many, one, keep, none }
  const samples = (how: 'new' | 'open'): Promise<Record<keyof typeof beds, number[]>> =>
    interleaved(beds, async (bed) => bed.packets(how))
  const fresh = await samples('new')
  const open = await samples('open')
  return [
    row({
      name: `a packet of a new flow between isolated pods: ${size.policies} policies beside 1`,
      ours: fresh.many,
      peer: fresh.one,
      unit: 'us',
      budget: 1.2,
    }),
    row({
      name: `a packet of a new flow: ${size.policies} policies beside none`,
      ours: fresh.many,
      peer: fresh.none,
      unit: 'us',
    }),
    row({
      name: `a packet of an open flow: ${size.policies} policies beside 1`,
      ours: open.many,
      peer: open.one,
      unit: 'us',
      budget: 1.2,
    }),
    row({
      name: 'a packet of an open flow: policyOpenConnections judge beside keep',
      ours: open.many,
      peer: open.keep,
      unit: 'us',
    }),
    row({
      name: `a packet of an open flow: ${size.policies} policies beside none`,
      ours: open.many,
      peer: open.none,
      unit: 'us',
    }),
  ]
}

/** The same two pods at ports of one bridge, held to their addresses there, or not. */
async function wires(): Promise<BenchRow[]> {
  await using held = await Bed.make('held', { bridged: true })
  await using free = await Bed.make('free', { bridged: true })
  const [cluster, locals] = talking(0)
  await held.sync(
    cluster,
    locals.map((local, i) => ({ ...local, port: parseInterfaceName(`pod${i}`) })),
  )
  await free.sync(cluster, locals)
  const beds = { held, free }
  const fresh = await interleaved(beds, async (bed) => bed.packets('new'))
  const open = await interleaved(beds, async (bed) => bed.packets('open'))
  return [
    row({
      name: 'a packet of a new flow between isolated pods of one bridge: held to their addresses beside not',
      ours: fresh.held,
      peer: fresh.free,
      unit: 'us',
      budget: 1.2,
    }),
    row({
      name: 'a packet of an open flow between isolated pods of one bridge: held to their addresses beside not',
      ours: open.held,
      peer: open.free,
      unit: 'us',
      budget: 1.2,
    }),
  ]
}

function talking(policies: number): [ScratchCluster, LocalPod[]] {
  const { cluster, locals } = policyCluster(
    new ScratchCluster(),
    policies === 0 ? { policies: 0, pods: 0, locals: 0 } : size,
  )
  const rule = { ports: [{ protocol: 'UDP', port: 80 }] }
  const labels = (app: string): object => ({ podSelector: { matchLabels: { app } } })
  cluster.namespace('talk').pod('talk/client', { labels: 'app=client' }).pod('talk/server', { labels: 'app=server' })
  cluster.policy('talk/both', {
    podSelector: {},
    policyTypes: ['Ingress', 'Egress'],
    ingress: [{ from: [labels('client')], ...rule }],
    egress: [{ to: [labels('server')], ...rule }],
  })
  return [cluster, [...locals, wired('talk/client', client), wired('talk/server', server)]]
}

interface Cost {
  readonly all: number
  readonly kernel: number
}

/** A node with a pod on each side of it. */
class Bed implements AsyncDisposable {
  readonly #name: string
  readonly kernel: Kernel
  readonly #policies: Policies
  #kernelMs = 0

  private constructor(name: string, settings: PolicySettings) {
    this.#name = name
    this.kernel = openKernel({
      netns: namespacePath(name),
      log,
      observe: {
        command: (tool, seconds) => void (tool === 'nft' && (this.#kernelMs += seconds * 1000)),
        lines: () => undefined,
      },
    })
    this.#policies = new Policies({ kernel: this.kernel, log })
    this.#policies.configure(settings)
  }

  /** @param bridged whether its pods are on one bridge, as on a node; else packets are routed */
  static async make(
    what: string,
    { of = settings, bridged = false }: { of?: PolicySettings; bridged?: boolean } = {},
  ): Promise<Bed> {
    const name = `bench-policy-${what}`
    const sides = [`${name}-a`, `${name}-b`]
    for (const each of [name, ...sides]) await createNamespace(each)
    if (bridged)
      execFileSync('ip', ['-n', name, '-batch', '-'], { input: 'link add cni0 type bridge\nlink set cni0 up\n' })
    const length = bridged ? 16 : 24
    for (const [i, side] of sides.entries()) {
      const place = bridged ? `link set pod${i} master cni0` : `addr add 10.99.${i}.1/24 dev pod${i}`
      execFileSync('ip', ['-n', name, '-batch', '-'], {
        input: `link set lo up\nlink add pod${i} type veth peer name eth0 netns ${namespacePath(side)}\n${place}\nlink set pod${i} up\n`,
      })
      execFileSync('ip', ['-n', side, '-batch', '-'], {
        input: `link set lo up\naddr add 10.99.${i}.5/${length} dev eth0\nlink set eth0 up\n${bridged ? '' : `route add default via 10.99.${i}.1\n`}`,
      })
    }
    const bed = new Bed(name, of)
    await bed.kernel.writeSysctl(bridged ? 'net/bridge/bridge-nf-call-iptables' : 'net/ipv4/ip_forward', '1')
    return bed
  }

  get path(): string {
    return namespacePath(this.#name)
  }

  async sync(cluster: ScratchCluster, locals: readonly LocalPod[]): Promise<Cost> {
    const { snapshots } = cluster
    this.#kernelMs = 0
    const begin = performance.now()
    await this.#policies.sync(snapshots, locals)
    return { all: performance.now() - begin, kernel: this.#kernelMs }
  }

  /** ms */
  async look(): Promise<number> {
    const begin = performance.now()
    await this.#policies.look('whole')
    return performance.now() - begin
  }

  /** us of the median packet. */
  async packets(how: 'new' | 'open'): Promise<number> {
    const { stdout } = await runProgram('nsenter', [`--net=${this.path}-a`, packetsProgram(), server, '3000', how])
    return Number(stdout) / 1000
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kernel[Symbol.asyncDispose]()
    for (const each of [this.#name, `${this.#name}-a`, `${this.#name}-b`]) await deleteNamespace(each)
  }
}

let built: string | undefined

function packetsProgram(): string {
  if (built === undefined) {
    built = '/run/first-packets'
    execFileSync('gcc', ['-O2', '-o', built, `${import.meta.dirname}/first-packets.c`])
  }
  return built
}

async function interleaved<K extends string>(
  beds: Readonly<Record<K, Bed>>,
  measure: (bed: Bed) => Promise<number>,
): Promise<Record<K, number[]>> {
  const samples = Object.fromEntries(Object.keys(beds).map((key) => [key, [] as number[]])) as Record<K, number[]>
  for (let run = 0; run < 9; run++)
    for (const key of Object.keys(beds) as K[]) samples[key].push(await measure(beds[key]))
  return samples
}

/** Bytes in use, rubbish collected. */
function heap(): number {
  globalThis.gc?.()
  return process.memoryUsage().heapUsed
}

function row({
  name,
  ours,
  peer,
  unit,
  budget = null,
}: {
  name: string
  ours: readonly number[]
  peer?: readonly number[]
  unit: string
  budget?: number | null
}): BenchRow {
  const [mine, theirs] = [median(ours), peer === undefined ? null : median(peer)]
  return {
    name,
    ours: mine,
    peer: theirs,
    unit,
    ratio: theirs === null ? null : mine / theirs,
    budget,
    runs: ours.length,
  }
}
