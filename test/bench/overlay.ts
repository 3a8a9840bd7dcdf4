// Peers programmed through one pass of the overlay, beside one `ip` or `bridge` process per command, in one namespace,
// interleaved.
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { pino } from 'pino'
import type { ClusterNode } from '../../src/cluster/node.ts'
import type { Change } from '../../src/kernel/change.ts'
import type { Kernel } from '../../src/kernel/kernel.ts'
import { deleteLink } from '../../src/kernel/link-changes.ts'
import { openKernel } from '../../src/kernel/linux-kernel.ts'
import { createNamespace, deleteNamespace, namespacePath } from '../../src/kernel/netns.ts'
import { addressFromBigInt, parseAddress } from '../../src/net/address.ts'
import { cidrOf, parseCidr } from '../../src/net/cidr.ts'
import { parseInterfaceName } from '../../src/net/interface-name.ts'
import { Overlay } from '../../src/overlay/overlay.ts'
import type { OverlaySettings } from '../../src/overlay/settings.ts'
import type { BenchRow } from './bench-row.ts'
import { median } from './statistics.ts'

const log = pino({ level: 'silent' })
const rounds = 5
/** The peer's processes take seconds per thousand: of more nodes than this it gets so many, and its time is scaled. */
const peerSample = 500

export async function overlayBench(): Promise<BenchRow[]> {
  const namespace = `bench-${randomBytes(4).toString('hex')}`
  await createNamespace(namespace)
  try {
    const path = namespacePath(namespace)
    execFileSync('nsenter', [`--net=${path}`, 'ip', '-batch', '-'], {
      input:
        'link set lo up\nlink add eth0 type veth peer name elsewhere\naddr add 172.16.0.1/12 dev eth0\nlink set eth0 up\nlink set elsewhere up\n',
    })
    await using kernel = openKernel({ netns: path, log })
    return [
      await programming(kernel, path, 1000, 1000),
      await programming(kernel, path, 5000, peerSample),
      await oneJoins(kernel, 1000),
      await nothingToDo(kernel, 5000),
    ]
  } finally {
    await deleteNamespace(namespace)
  }
}

/** From a bare uplink to all peers in force; the peer is given its device. */
async function programming(kernel: Kernel, path: string, count: number, sample: number): Promise<BenchRow> {
  const nodes = cluster(count)
  const [ours, peer]: [number[], number[]] = [[], []]
  // One pass that is not counted says what a hand would have to type.
  const commands = (await pass(kernel, nodes))
    .filter(({ kind }) => kind === 'neighbour' || kind === 'fdb' || kind === 'route')
    .map(({ tool, line }) => `${tool} ${line}`)
  if (commands.length !== 3 * count)
    throw new Error(`Expected ${3 * count} entries for ${count} peers, got ${commands.length}`)
  const [neighbours, fdb, routes] = [0, count, 2 * count].map((from) => commands.slice(from, from + sample))
  const script = [...(neighbours ?? []), ...(fdb ?? []), ...(routes ?? [])].join('\n')
  for (let round = 0; round < rounds; round++) {
    await forget(kernel)
    ours.push(await clock(async () => pass(kernel, nodes)))
    await forget(kernel)
    await pass(kernel, cluster(0))
    peer.push(
      (await clock(async () => execFileSync('nsenter', [`--net=${path}`, 'sh', '-e'], { input: script }))) *
        (count / sample),
    )
  }
  await forget(kernel)
  const note =
    sample === count
      ? 'peer: one process per command'
      : `peer: one process per command, ${sample} peers measured and scaled`
  return {
    name: `${count} peers programmed (${note})`,
    ours: median(ours),
    peer: median(peer),
    unit: 'ms',
    ratio: median(ours) / median(peer),
    budget: count === 1000 ? 0.05 : null,
    runs: rounds,
  }
}

async function oneJoins(kernel: Kernel, count: number): Promise<BenchRow> {
  const nodes = cluster(count)
  const times: number[] = []
  for (let round = 0; round < rounds * 3; round++) {
    await pass(kernel, nodes.slice(0, -1))
    times.push(await clock(async () => pass(kernel, nodes)))
  }
  await forget(kernel)
  return {
    name: `one peer joins ${count - 1} (a full pass: dumps, difference, three entries)`,
    ours: median(times),
    peer: null,
    unit: 'ms',
    ratio: null,
    budget: null,
    runs: times.length,
  }
}

async function nothingToDo(kernel: Kernel, count: number): Promise<BenchRow> {
  const nodes = cluster(count)
  await pass(kernel, nodes)
  const times: number[] = []
  for (let round = 0; round < rounds * 3; round++) times.push(await clock(async () => pass(kernel, nodes)))
  await forget(kernel)
  return {
    name: `a pass over ${count} peers that finds nothing to do`,
    ours: median(times),
    peer: null,
    unit: 'ms',
    ratio: null,
    budget: null,
    runs: times.length,
  }
}

const settings: OverlaySettings = {
  nodeName: 'node-0',
  mode: 'vxlan',
  vni: 1,
  port: 8472,
  device: parseInterfaceName('fairlead.1'),
  checksumOffload: 'keep',
  mtu: 'auto',
  families: [4],
}

/**
 * A pass as after a restart.
 * @throws {Error} when anything was refused, since then it would be the time of something else.
 */
async function pass(kernel: Kernel, nodes: readonly ClusterNode[]): Promise<readonly Change[]> {
  const { changes, failures, problems } = await new Overlay({ kernel, log }).reconcile(settings, nodes)
  if (failures.length > 0 || problems.length > 0)
    throw new Error(`the overlay could not be programmed: ${failures[0]?.error.message ?? problems[0]}`)
  return changes
}

/** Deletes the device, and with it every entry. */
async function forget(kernel: Kernel): Promise<void> {
  await kernel.apply([deleteLink(settings.device)])
}

/** This node and so many others: 10.64.0.0/24 and up, at 172.16.0.1 and up. */
function cluster(peers: number): ClusterNode[] {
  return Array.from({ length: peers + 1 }, (_, i) => ({
    name: `node-${i}`,
    uid: `${i}`,
    createdAt: i,
    podCidrs: [
      i === 0
        ? parseCidr('10.255.0.0/24')
        : cidrOf(addressFromBigInt((10n << 24n) + (64n << 16n) + BigInt(i * 256), 4), 24),
    ],
    internalAddresses: [
      i === 0 ? parseAddress('172.16.0.1') : addressFromBigInt((172n << 24n) + (17n << 16n) + BigInt(i), 4),
    ],
    zone: undefined,
    leaving: false,
    alive: undefined,
    networkUnavailable: false,
    kubeletPort: 10_250,
  }))
}

async function clock(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now()
  await work()
  return performance.now() - start
}
