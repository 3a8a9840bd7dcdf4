// The agent as it is now, for those who ask on its socket.
import { type Cidr, formatCidr } from '../net/cidr.ts'
import type { ObservedOffload } from '../overlay/checksum-offload.ts'
import { idlePolicies } from '../policy/idle-policies.ts'
import type { AgentConfig } from './config.ts'
import { notReady, reflectorsOf, type Sources } from './sources.ts'
import type { AgentStatusText } from './status-shape.ts'

interface StatusSources extends Sources {
  /** That cluster IPs are taken from; empty where they are not known. */
  readonly serviceBlocks: readonly Cidr[]
  /** Of the VXLAN device. */
  readonly offload: ObservedOffload | undefined
}

/** @param api the address of the API server */
export function describeAgent(config: AgentConfig, api: string, sources: StatusSources): AgentStatusText {
  const { podNetwork, overlay, vxlanPort, vxlanDevice, bridge, cniConfDir, healthAddress } = config
  const { nodes, pods, pass, policy, serviceProxy } = sources
  return {
    node: config.nodeName,
    api,
    podNetwork,
    overlay,
    vxlanPort,
    vxlanDevice,
    checksumOffload: sources.offload && { setting: config.checksumOffload, ...sources.offload },
    bridge,
    cniConfDir,
    healthAddress,
    missing: [...notReady(sources)],
    problems: [
      ...sources.lacking,
      ...pass.problems,
      ...sources.report.problems,
      ...(policy?.problems ?? []),
      ...(serviceProxy?.ruleProblems ?? []),
      ...sources.proxies(),
    ],
    peers: pass.peers,
    passedAt: pass.passedAt,
    changedAt: pass.changedAt,
    repairs: [...sources.repairs.all],
    nodes: Array.from(nodes.snapshot.values(), ({ name, uid, createdAt, podCidrs, internalAddresses }) => ({
      name,
      uid,
      createdAt,
      podCidrs: podCidrs.map(formatCidr),
      internalAddresses: [...internalAddresses],
    })),
    leftOut: [...pass.leftOut],
    pools: sources.podNetwork
      .ipamStatus()
      .map(({ podCidr, ...counts }) => ({ podCidr: formatCidr(podCidr), ...counts })),
    attachments: sources.podNetwork.attachments.size,
    podDrift: sources.podNetwork.leftDrift.map(({ pod, what, reason }) => ({ pod, what: [...what], reason })),
    watches: Object.entries(reflectorsOf(sources)).map(([resource, reflector]) => {
      const { state, objects, relists, reconnects, lastEventAt, lastError } = reflector.status()
      return { resource, state, objects, relists, reconnects, lastEventAt, lastError }
    }),
    services: (serviceProxy?.rules?.status() ?? []).map(({ family, ports, endpoints, rules, lastSyncAt }) => ({
      family,
      ports,
      endpoints,
      rules: rules.filter + rules.nat,
      syncedAt: lastSyncAt,
    })),
    policy: policy && { policies: policy.policies.snapshot.size, ...policy.pods, syncedAt: policy.syncedAt },
    serviceAddresses: Array.from(serviceProxy?.services.snapshot.values() ?? [], ({ clusterIps }) => clusterIps).flat(),
    serviceCidrs: sources.serviceBlocks.map(formatCidr),
    idlePolicies:
      policy?.policies.synced && pods.synced
        ? idlePolicies(policy.policies.snapshot.values(), pods.snapshot.values())
        : [],
  }
}
