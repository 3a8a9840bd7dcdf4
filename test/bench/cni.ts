// CNI ADD and DEL beside the reference plugins (Debian's containernetworking-plugins), in one node namespace,
// interleaved pod by pod.
import { execFileSync } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { startAgent } from './agent-under-test.ts'
import type { BenchRow } from './bench-row.ts'
import { type Contender, fairlead, type Pod, reference } from './plugin.ts'
import { median, quantile } from './statistics.ts'

const rounds = 60
const crowd = 250
const burst = 110
const settleMs = 50

export async function cniBench(): Promise<BenchRow[]> {
  await using _agent = await startAgent('10.98.0.0/20')
  const contenders = [
    fairlead(`${import.meta.dirname}/../../dist/fairlead-cni`),
    reference('/usr/lib/cni', '10.99.0.0/20'),
  ] as const
  // One pod each first, so that nobody's bridge is made on the clock.
  await oneByOne(contenders, 3)

  const alone = await oneByOne(contenders, rounds)
  const withPort = await oneByOne(contenders, rounds / 2, 20_000)
  const bursts = await atOnce(contenders, 5)
  const residents = await populate(contenders)
  const crowded = await oneByOne(contenders, rounds)
  const deferred = await deletionTime()
  for (const pod of residents) dropNamespace(pod)
  return [
    row('ADD, one pod, median', alone.add, median, 0.8),
    row('ADD, one pod, p99', alone.add, p99, null),
    row('DEL, one pod, median', alone.delete, median, 0.4),
    row('DEL, one pod, p99', alone.delete, p99, null),
    row('ADD with one hostPort, median', withPort.add, median, 0.3),
    row('ADD with one hostPort, p99', withPort.add, p99, null),
    row('DEL with one hostPort, median', withPort.delete, median, null),
    row(`${burst} ADDs at once, all done, median`, bursts.add, median, 0.6),
    row(`${burst} DELs at once, all done, median`, bursts.delete, median, null),
    row(`ADD with ${crowd} pods there, median`, crowded.add, median, null),
    row(`DEL with ${crowd} pods there, median`, crowded.delete, median, null),
    {
      name: 'deferred deletion of one veth, from the DEL answer until it is gone',
      ours: deferred,
      peer: null,
      unit: 'ms',
      ratio: null,
      budget: null,
      runs: 10,
    },
  ]
}

/** ms, ours and the peer's. */
type Sample = [ours: number[], peer: number[]]
type Samples = { add: Sample; delete: Sample }

async function oneByOne(contenders: readonly Contender[], count: number, firstPort?: number): Promise<Samples> {
  const samples: Samples = { add: [[], []], delete: [[], []] }
  for (let round = 0; round < count; round++) {
    for (const [who, contender] of contenders.entries()) {
      const pod = makePod()
      const hostPort = firstPort === undefined ? undefined : firstPort + 2 * round + who
      samples.add[who]?.push(await contender.add(pod, hostPort))
      samples.delete[who]?.push(await contender.delete(pod, hostPort))
      dropNamespace(pod)
      // The kernel takes the namespace apart in the background: not on the next one's clock.
      await sleep(settleMs)
    }
  }
  return samples
}

async function atOnce(contenders: readonly Contender[], count: number): Promise<Samples> {
  const samples: Samples = { add: [[], []], delete: [[], []] }
  for (let round = 0; round < count; round++) {
    for (const [who, contender] of contenders.entries()) {
      const pods = Array.from({ length: burst }, makePod)
      samples.add[who]?.push(await clock(() => Promise.all(pods.map((pod) => contender.add(pod)))))
      samples.delete[who]?.push(await clock(() => Promise.all(pods.map((pod) => contender.delete(pod)))))
      for (const pod of pods) dropNamespace(pod)
      // What a contender put off until later is not to be paid by the next.
      await sleep(2000)
    }
  }
  return samples
}

async function populate(contenders: readonly Contender[]): Promise<Pod[]> {
  const pods: Pod[] = []
  for (const contender of contenders) {
    for (let i = 0; i < crowd; i++) {
      const pod = makePod()
      await contender.add(pod)
      pods.push(pod)
    }
  }
  return pods
}

/** Median ms until a veth that DEL put aside has left the kernel. Its namespace stays, so nothing else removes it. */
async function deletionTime(): Promise<number> {
  const [ours] = [fairlead(`${import.meta.dirname}/../../dist/fairlead-cni`)]
  const times: number[] = []
  for (let i = 0; i < 10; i++) {
    const pod = makePod()
    await ours.add(pod)
    await ours.delete(pod)
    times.push(
      await clock(async () => {
        while (
          execFileSync('ip', ['-n', pod.netns.replace('/run/netns/', ''), '-o', 'link'], { encoding: 'utf8' }).includes(
            'eth0',
          )
        )
          await sleep(5)
      }),
    )
    dropNamespace(pod)
  }
  return median(times)
}

let made = 0
function makePod(): Pod {
  const name = `pod-${made++}`
  execFileSync('ip', ['netns', 'add', name])
  return { containerId: `${name}-${process.pid}`, netns: `/run/netns/${name}` }
}

function dropNamespace(pod: Pod): void {
  execFileSync('ip', ['netns', 'del', pod.netns.replace('/run/netns/', '')])
}

async function clock(work: () => Promise<unknown>): Promise<number> {
  const start = process.hrtime.bigint()
  await work()
  return Number(process.hrtime.bigint() - start) / 1e6
}

function p99(sample: readonly number[]): number {
  return quantile(sample, 0.99)
}

function row(
  name: string,
  [ours, peer]: Sample,
  statistic: (sample: readonly number[]) => number,
  budget: number | null,
): BenchRow {
  return {
    name,
    ours: statistic(ours),
    peer: statistic(peer),
    unit: 'ms',
    ratio: statistic(ours) / statistic(peer),
    budget,
    runs: ours.length,
  }
}
