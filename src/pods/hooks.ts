// What else an attachment may need besides its wire: built in rules/ and bandwidth*.ts, called by ADD, DEL and reclaim.
// What policies say of a pod comes from outside the room.
import type { Address } from '../net/address.ts'
import type { Attachment, PortMapping } from './attachment.ts'

/** The host ports (portMappings) of attachments. */
export interface HostPortHook {
  /**
   * Publishes the ports of one attachment; they work when this resolves. Called for attachments with ports alone, and
   * again with the same one after a restart: it must be idempotent. Rejects when a port cannot be had; the ADD then
   * fails and is undone, with {@link remove} called.
   */
  add(attachment: Attachment): Promise<void>
  /**
   * Withdraws the ports of attachments that are gone, in one go. Idempotent: what is not there is no error. When it
   * resolves no flow goes through them any more, so that their addresses may be given away; before {@link settled} that
   * is still to come.
   */
  remove(attachments: readonly Attachment[]): Promise<void>
  /** Resolves when what an earlier agent has left of ports and flows is withdrawn, or that was tried once in vain. */
  readonly settled: Promise<void>
  /** Reads which ports the kernel publishes now, by pod address, whoever asked for them. */
  published(): Promise<ReadonlyMap<Address, readonly PortMapping[]>>
}

/** The rate limits (bandwidth) of attachments, on their host veths. */
export interface BandwidthHook {
  /** Limits one attachment, whose host veth exists. Called for attachments with limits alone; idempotent as above. */
  add(attachment: Attachment): Promise<void>
  /** Removes what the limits made beside the host veth (which takes its own qdiscs along). Idempotent. */
  remove(attachments: readonly Attachment[]): Promise<void>
}

/** What network policies say of attachments. */
export interface PolicyHook {
  /** Why no pod can be judged yet; undefined once that is over, and from then on. STATUS tells it to the runtime. */
  readonly waitsFor: string | undefined
  /**
   * Called when the attachment is recorded. Resolves when no packet passes from or to the pod that policies forbid.
   * Rejects when that cannot be promised; the ADD then fails and is undone, with {@link remove} called.
   */
  add(attachment: Attachment): Promise<void>
  /** The attachments are gone; nobody waits for what that changes. */
  remove(attachments: readonly Attachment[]): void
}
