// What the agent's configuration says to this room.
import type { Family } from '../net/address.ts'

export interface PolicySettings {
  readonly nodeName: string
  /** Those that pods of this node have addresses of. */
  readonly families: readonly Family[]
  /**
   * A connection that is open obeys policies that change: each packet from its client is judged anew. Else only the
   * first is.
   */
  readonly judgeOpenConnections: boolean
  /** Where a sample of denied packets is told of; undefined: nowhere. */
  readonly log: DenialLog | undefined
}

export interface DenialLog {
  /** nfnetlink_log's, as ulogd and tcpdump -i nflog:N listen to it. */
  readonly group: number
  /** At most so many for each set of policies. */
  readonly perSecond: number
}
