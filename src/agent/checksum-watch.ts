// checksumOffload: auto. Every half minute one other node is asked something small through the tunnel. Where that
// fails, and the other's kernel has thrown away for their checksum just then what had come, our card miscalculates: the
// offload is switched off, and the same is asked again. What does not help is undone, and left so for an hour.
//
// A node judges its own sending alone: what arrives broken from others, those find themselves.
import type { Logger } from 'pino'
import { type Clock, systemClock } from '../runtime/clock.ts'
import type { ClusterNode } from '../cluster/node.ts'
import type { Kernel } from '../kernel/kernel.ts'
import type { TunnelCounters } from '../kernel/tunnel-counters.ts'
import { txChecksumCommand } from '../kernel/tx-checksum.ts'
import type { ChecksumOffload } from '../overlay/checksum-offload.ts'
import type { Address } from '../net/address.ts'
import { gatewayOf } from '../pods/ipam.ts'
import { parseListenAddress } from '../runtime/http-listener.ts'
import type { LiveConfig } from './live-config.ts'
import { askPeer, countersOfPeer, refused } from './peer-question.ts'

export interface ChecksumWatchParts {
  readonly live: Pick<LiveConfig, 'current'>
  readonly kernel: Pick<Kernel, 'txChecksum'>
  /** All of the cluster. */
  readonly nodes: () => readonly ClusterNode[]
  /** Whether pods of other nodes are reached, as far as this one has programmed it. */
  readonly ready: () => boolean
  /** Asks for a pass over the network, which follows {@link ChecksumWatch.wanted}. */
  readonly apply: () => void
  readonly log: Pick<Logger, 'debug' | 'warn'>
  readonly ask?: {
    readonly reach: typeof reach
    readonly counters: (host: Address, port: number) => Promise<TunnelCounters | undefined>
  }
  readonly clock?: Clock
}

const lookEveryMs = 30_000
/** How soon a change of the configuration is followed, and a first peer met. */
const tickMs = 2000
const afterVainMs = 3_600_000
const appliedWithinMs = 20_000

export class ChecksumWatch {
  readonly #parts: Required<ChecksumWatchParts>
  #wanted: ChecksumOffload = 'leave'
  #mended = false
  /** No exchange before this. */
  #notBefore = 0

  constructor(parts: ChecksumWatchParts) {
    this.#parts = { ask: { reach, counters: countersOfPeer }, clock: systemClock, ...parts }
  }

  /** What the overlay is to do. With auto a device that an earlier agent has changed stays as it is. */
  get wanted(): ChecksumOffload {
    const { checksumOffload } = this.#parts.live.current
    return checksumOffload === 'auto' ? this.#wanted : checksumOffload
  }

  /** Until the signal; never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#parts
    while (!signal.aborted) {
      await this.#tick(signal).catch((error: unknown) =>
        log.debug({ err: error }, 'a look at the checksums in the tunnel failed'),
      )
      await clock.sleep(tickMs, signal).catch(() => undefined)
    }
  }

  async #tick(signal: AbortSignal): Promise<void> {
    const { live, ready, clock } = this.#parts
    const { checksumOffload, overlay } = live.current
    if (checksumOffload !== 'auto') {
      this.#wanted = 'leave'
      this.#mended = false
      this.#notBefore = 0
      return
    }
    const peer = this.#anyPeer()
    if (
      this.#mended ||
      clock.now() < this.#notBefore ||
      (overlay !== 'vxlan' && overlay !== 'auto') ||
      !ready() ||
      peer === undefined
    )
      return
    this.#notBefore = clock.now() + lookEveryMs
    if (await this.#isDamaged(peer)) await this.#mend(peer, signal)
  }

  #anyPeer(): Peer | undefined {
    const { live, nodes, clock } = this.#parts
    const { port } = parseListenAddress(live.current.healthAddress)
    const peers = nodes().flatMap(({ name, podCidrs: [podCidr], internalAddresses: [address] }): Peer[] =>
      name === live.current.nodeName || podCidr === undefined || address === undefined
        ? []
        : [{ name, address, through: gatewayOf(podCidr), port }],
    )
    return peers[Math.floor(clock.random() * peers.length)]
  }

  async #isDamaged({ through, address, port }: Peer): Promise<boolean> {
    const { reach, counters } = this.#parts.ask
    if (await reach(through, port)) return false
    const before = await counters(address, port)
    const reached = await reach(through, port)
    const after = await counters(address, port)
    return !reached && before !== undefined && after !== undefined && after.checksumErrors > before.checksumErrors
  }

  async #mend({ name, through, port }: Peer, signal: AbortSignal): Promise<void> {
    const { live, log, ask, clock } = this.#parts
    const device = live.current.vxlanDevice
    const command = txChecksumCommand(device, false).join(' ')
    const found = `what goes to ${name} through the tunnel arrives there with wrong checksums`
    const applied = await this.#apply('off', signal)
    if (applied && (await ask.reach(through, port))) {
      this.#mended = true
      return log.warn(
        { command },
        `The network card miscalculates checksums: ${found}. ${device} computes them from now on, and ${name} is reached; update the card's driver, and set checksumOffload: keep then`,
      )
    }
    if (applied)
      log.warn(
        { command },
        `The network card may miscalculate checksums: ${found}. To have ${device} compute them did not help and is undone; run fairlead doctor here and on ${name}`,
      )
    this.#notBefore = clock.now() + afterVainMs
    await this.#apply('keep', signal)
    this.#wanted = 'leave'
  }

  /** @returns whether the device is so. What keeps it from that, the overlay tells. */
  async #apply(wanted: 'off' | 'keep', signal: AbortSignal): Promise<boolean> {
    const { live, kernel, apply, clock } = this.#parts
    this.#wanted = wanted
    apply()
    for (const deadline = clock.now() + appliedWithinMs; clock.now() < deadline; await clock.sleep(100, signal)) {
      if ((await kernel.txChecksum(live.current.vxlanDevice).catch(() => undefined)) === (wanted === 'keep'))
        return true
    }
    return false
  }
}

interface Peer {
  readonly name: string
  readonly address: Address
  /** Reached as its pods are. */
  readonly through: Address
  readonly port: number
}

/** A refusal has come all the way. */
async function reach(host: Address, port: number): Promise<boolean> {
  const failure = await askPeer(host, port, 0)
  return failure === undefined || failure === refused
}
