// How the rules of the node that we run on differ from those that manifests make, as an agent of this configuration
// would find them.
import { pino } from 'pino'
import type { IptablesBackend } from '../iptables/iptables.ts'
import { openIptables } from '../iptables/linux-iptables.ts'
import { openKernel } from '../kernel/linux-kernel.ts'
import { diffManifests, type ManifestsDiff } from '../services/diff-manifests.ts'
import { clusterObjects, type Manifest } from '../services/manifests.ts'
import type { AgentConfig } from './config.ts'
import { interfaceAddresses, protectedIn } from './protected-ports.ts'
import { servicesOptions } from './services-options.ts'

export interface LiveDiff extends ManifestsDiff {
  readonly backend: IptablesBackend
}

/** Writes nothing. @throws as {@link diffManifests} */
export async function liveDiff(
  manifests: readonly Manifest[],
  nodeName: string,
  config: AgentConfig,
): Promise<LiveDiff> {
  const log = pino({ level: 'warn' }, pino.destination({ fd: 2, sync: true }))
  const { serviceBlocks: serviceCidrs } = clusterObjects(manifests)
  await using kernel = openKernel({ log })
  const iptables = openIptables(kernel, { log })
  const tcpBeLiberal = (await kernel.readSysctl('net/netfilter/nf_conntrack_tcp_be_liberal')) === '1'
  const diff = await diffManifests(manifests, nodeName, {
    options: servicesOptions(config, { tcpBeLiberal, serviceCidrs }),
    protect: (objects) => protectedIn(objects, nodeName, config, interfaceAddresses()),
    kernel,
    iptables,
    log,
  })
  return { ...diff, backend: await iptables.backend() }
}
