// Who has which host port. Kernel rules can't say: of two for one port the older would win, and nobody would be told.
import type { Attachment, PortMapping } from '../attachment.ts'
import { describePod } from './host-ports.ts'

/** Another pod has the port. One sentence that names it. */
export class HostPortTakenError extends Error {
  override readonly name = 'HostPortTakenError'
}

export class HostPortClaims {
  /** In the order of their claims. No two of them claim the same protocol and port on the same host address. */
  readonly #holders = new Map<string, Attachment>()

  get holders(): readonly Attachment[] {
    return [...this.#holders.values()]
  }

  has(attachment: Attachment): boolean {
    return this.#holders.has(attachment.hostInterface)
  }

  /**
   * Takes the ports of an attachment, all or none. An earlier sandbox of the same pod gives way: it is dead, or the pod
   * would not have a new one.
   * @returns the earlier sandboxes that have given way.
   * @throws {HostPortTakenError} where another pod has one of them.
   */
  claim(attachment: Attachment): readonly Attachment[] {
    const rivals = this.holders.filter(
      (holder) => holder.hostInterface !== attachment.hostInterface && clash(holder, attachment) !== undefined,
    )
    const strangers = rivals.filter((holder) => !isSamePod(holder, attachment))
    for (const holder of strangers) {
      const mapping = clash(holder, attachment)
      if (mapping === undefined) continue
      const where = mapping.hostAddress ?? 'this node'
      throw new HostPortTakenError(
        `Host port ${mapping.hostPort}/${mapping.protocol} on ${where} is taken by pod ${describePod(holder)}; delete that pod or choose another hostPort`,
      )
    }
    for (const holder of rivals) this.release(holder)
    this.#holders.set(attachment.hostInterface, attachment)
    return rivals
  }

  /** @returns whether it held any. */
  release(attachment: Attachment): boolean {
    return this.#holders.delete(attachment.hostInterface)
  }
}

/** The first mapping of the second that the first has too. */
function clash(holder: Attachment, wanted: Attachment): PortMapping | undefined {
  return wanted.portMappings.find((mapping) =>
    holder.portMappings.some(
      (held) =>
        held.protocol === mapping.protocol && held.hostPort === mapping.hostPort && addressesMeet(held, mapping),
    ),
  )
}

function addressesMeet({ hostAddress: one }: PortMapping, { hostAddress: other }: PortMapping): boolean {
  return one === undefined || other === undefined || one === other
}

function isSamePod(a: Attachment, b: Attachment): boolean {
  return a.pod?.uid !== undefined && a.pod.uid === b.pod?.uid
}
