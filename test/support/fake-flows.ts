// The kernel's table of UDP flows, in memory.
import { CommandError } from '../../src/kernel/command-error.ts'
import type { Kernel } from '../../src/kernel/kernel.ts'
import type { UdpFlow, UdpFlowFilter } from '../../src/kernel/udp-flow.ts'
import { type Family, familyOf } from '../../src/net/address.ts'
import type { Cidr } from '../../src/net/cidr.ts'

export class FakeFlows implements Pick<Kernel, 'readUdpFlows' | 'deleteUdpFlows' | 'localNetworks'> {
  /** The flows that are tracked. */
  flows: readonly UdpFlow[] = []
  /** The filters of those that were ended, in order. */
  readonly ended: UdpFlowFilter[] = []
  networks: readonly Cidr[] = []
  /** Walks through the table. */
  walks = 0
  /** While set, there is no conntrack program. */
  fails = false

  async readUdpFlows(family: Family, seen: (flow: UdpFlow) => void): Promise<void> {
    this.walks += 1
    if (this.fails)
      throw new CommandError({ kind: 'not-installed', command: 'conntrack', stderr: 'conntrack: not found' })
    for (const flow of this.flows) if (familyOf(flow.source) === family) seen(flow)
  }

  async deleteUdpFlows(_: Family, filters: readonly UdpFlowFilter[]): Promise<number> {
    this.ended.push(...filters)
    return filters.length
  }

  async localNetworks(family: Family): Promise<readonly Cidr[]> {
    return this.networks.filter((cidr) => cidr.family === family)
  }
}
