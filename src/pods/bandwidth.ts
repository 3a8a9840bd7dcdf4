// Rate limits of pods (CNI capability bandwidth), kept by token buckets in the kernel.
//
// The walk of a packet to the pod: bridge -> root qdisc of the host veth, a tbf with the ingress limit -> pod. From the
// pod: it enters by the host veth, where no qdisc can hold it back; a filter redirects it to an ifb device of that pod,
// it passes the tbf there with the egress limit, and comes back to the veth as if it had just come in -> bridge.
import { createHash } from 'node:crypto'
import type { Logger } from 'pino'
import type { Change } from '../kernel/change.ts'
import type { Kernel } from '../kernel/kernel.ts'
import { deleteLink } from '../kernel/link-changes.ts'
import { addIfb, addIngressQdisc, addTbf, redirectIngress } from '../kernel/qdisc-changes.ts'
import { type InterfaceName, parseInterfaceName } from '../net/interface-name.ts'
import type { Attachment, RateLimit } from './attachment.ts'
import type { BandwidthHook } from './hooks.ts'

/** How long a packet may wait for tokens before it is dropped: the bandwidth plugin's value. */
const latencyMs = 25
/** Bytes of a frame beyond its MTU: an Ethernet header and a VLAN tag. */
const frameBytes = 18

/** A limit that makes no sense. One sentence. */
export class BandwidthError extends Error {
  override readonly name = 'BandwidthError'
}

/** The device that a pod's outgoing packets pass. */
export function ifbName(hostInterface: string): InterfaceName {
  return parseInterfaceName(`ifb${createHash('sha256').update(hostInterface).digest('hex').slice(0, 12)}`)
}

export class PodBandwidth implements BandwidthHook {
  readonly #kernel: Kernel
  readonly #log: Logger

  constructor(parts: { kernel: Kernel; log: Logger }) {
    this.#kernel = parts.kernel
    this.#log = parts.log
  }

  /** @throws {BandwidthError} @throws {CommandError} */
  async add(attachment: Attachment): Promise<void> {
    const { hostInterface, bandwidth, mtu } = attachment
    if (bandwidth?.ingress !== undefined) checkRateLimit('ingress', bandwidth.ingress)
    if (bandwidth?.egress !== undefined) checkRateLimit('egress', bandwidth.egress)
    await this.#apply(
      [
        ...(bandwidth?.ingress === undefined ? [] : [limitDevice(hostInterface, bandwidth.ingress, mtu)]),
        ...(bandwidth?.egress === undefined ? [] : limitEgress(hostInterface, bandwidth.egress, mtu)),
      ],
      'exists',
    )
  }

  /** The veth takes its own qdiscs along; the ifb has to go by itself. @throws {CommandError} */
  async remove(attachments: readonly Attachment[]): Promise<void> {
    const limited = attachments.filter(({ bandwidth }) => bandwidth?.egress !== undefined)
    await this.#apply(
      limited.map(({ hostInterface }) => deleteLink(ifbName(hostInterface))),
      'missing',
    )
  }

  /** @param accepted the failure that says it was so already. */
  async #apply(changes: readonly Change[], accepted: 'exists' | 'missing'): Promise<void> {
    if (changes.length === 0) return
    const failures = await this.#kernel.apply(changes)
    const real = failures.filter(({ error }) => error.kind !== accepted)
    for (const { change, error } of real.slice(1)) this.#log.warn({ err: error }, `${change.object} could not be set`)
    if (real[0] !== undefined) throw real[0].error
  }
}

/**
 * A bucket that is smaller than a packet would drop every packet of full size, for ever: it holds at least one. What
 * comes in larger units (GSO) tbf cuts to the MTU by itself.
 */
function limitDevice(device: InterfaceName, { rateBits, burstBits }: RateLimit, mtu: number): Change {
  return addTbf(device, { rateBits, burstBits: Math.max(burstBits, (mtu + frameBytes) * 8), latencyMs })
}

/** The bucket before the redirection, so that no packet goes by it. */
function limitEgress(hostInterface: InterfaceName, limit: RateLimit, mtu: number): Change[] {
  const ifb = ifbName(hostInterface)
  return [
    addIfb(ifb),
    limitDevice(ifb, limit, mtu),
    addIngressQdisc(hostInterface),
    redirectIngress(hostInterface, ifb),
  ]
}

function checkRateLimit(direction: string, { rateBits, burstBits }: RateLimit): void {
  if (!Number.isSafeInteger(rateBits) || rateBits < 1)
    throw new BandwidthError(`Expected ${direction}Rate to be a positive whole number of bit/s, got \`${rateBits}\``)
  if (!Number.isSafeInteger(burstBits) || burstBits < 1)
    throw new BandwidthError(`Expected ${direction}Burst to be a positive whole number of bits, got \`${burstBits}\``)
  // The kernel keeps the bucket in 32 bits of bytes. CRI-O's "no limit" is the largest that fits, containerd's an
  // eighth of it.
  if (burstBits / 8 >= 2 ** 32)
    throw new BandwidthError(`Expected ${direction}Burst to be below 4 GiB (34359738368 bits), got \`${burstBits}\``)
}
