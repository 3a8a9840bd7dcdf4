// Checks kernel parameters that decide whether packets of pods are forwarded, filtered, or dropped on the way back.
import type { Family } from '../../net/address.ts'
import type { Check, Finding } from '../check.ts'
import type { NodeFacts } from '../node-facts.ts'

const forwardingKeys: Readonly<Record<Family, string>> = { 4: 'net/ipv4/ip_forward', 6: 'net/ipv6/conf/all/forwarding' }
const bridgeKeys: Readonly<Record<Family, string>> = {
  4: 'net/bridge/bridge-nf-call-iptables',
  6: 'net/bridge/bridge-nf-call-ip6tables',
}
const filterOfAll = 'net/ipv4/conf/all/rp_filter'
export const conntrackKeys = {
  count: 'net/netfilter/nf_conntrack_count',
  max: 'net/netfilter/nf_conntrack_max',
} as const

/** Returns the keys that the checks in this file use. */
export function sysctlsRead({
  families,
  devices,
}: {
  families: readonly Family[]
  devices: readonly string[]
}): string[] {
  return [
    ...families.flatMap((family) => [forwardingKeys[family], bridgeKeys[family]]),
    filterOfAll,
    ...devices.map(filterOf),
    ...Object.values(conntrackKeys),
  ]
}

export function examineForwarding({ sysctls, families }: NodeFacts): Check {
  const off = families.map((family) => forwardingKeys[family]).filter((key) => sysctls.get(key) !== '1')
  const findings = off.map((key) => ({
    problem: `${dotted(key)} is ${sysctls.get(key) ?? 'not there'}: this node forwards nothing`,
    remedy: `sysctl -w ${dotted(key)}=1, and find in /etc/sysctl.d what sets it back`,
  }))
  return { name: 'forwarding', seenAs: 'pods that reach nothing beyond their own node', findings }
}

/** Passes when the kernel has no br_netfilter: pods are then routed and nothing is bridged (docs/how-it-works.md). */
export function examineBridgeFilter({ sysctls, families }: NodeFacts): Check {
  const off = families.map((family) => bridgeKeys[family]).filter((key) => sysctls.get(key) === '0')
  const findings = off.map((key) => ({
    problem: `${dotted(key)} is 0: rules do not see packets from pod to pod on this node`,
    remedy: `sysctl -w ${dotted(key)}=1, and find in /etc/sysctl.d what sets it back`,
  }))
  return {
    name: 'br_netfilter',
    seenAs: 'Services that time out when their endpoint is on the same node as the client',
    findings,
  }
}

export function examineReversePath({ sysctls, bridge, device }: NodeFacts): Check {
  const findings = [bridge, device].flatMap((name): Finding[] => {
    const own = sysctls.get(filterOf(name))
    const effective = Math.max(Number(own ?? 0), Number(sysctls.get(filterOfAll) ?? 0))
    if (own === undefined || effective !== 1) return []
    return [
      {
        problem: `rp_filter of ${name} is strict (1): answers that do not come by the route back are dropped`,
        remedy: `sysctl -w ${filterOf(name)}=2, and find in /etc/sysctl.d what sets it back`,
      },
    ]
  })
  return { name: 'rp_filter', seenAs: 'answers of Services and pods of other nodes that never arrive', findings }
}

/** @param fullFrom the used share of the table that is a finding. A burst can fill the rest; then connections fail. */
export function examineConntrack({ sysctls }: Pick<NodeFacts, 'sysctls'>, fullFrom = 0.8): Check {
  const base = { name: 'conntrack', seenAs: 'new connections that fail now and then under load' }
  const [count, max] = [sysctls.get(conntrackKeys.count), sysctls.get(conntrackKeys.max)].map(Number)
  if (count === undefined || max === undefined || Number.isNaN(count) || Number.isNaN(max))
    return { ...base, findings: [], skipped: 'the kernel does not track connections' }
  if (count < max * fullFrom) return { ...base, findings: [] }
  return {
    ...base,
    findings: [
      {
        problem: `${count} of ${max} tracked connections are in use`,
        remedy: `sysctl -w net.netfilter.nf_conntrack_max=${max * 2}, and find out what opens them: conntrack -L`,
      },
    ],
  }
}

function filterOf(device: string): string {
  return `net/ipv4/conf/${device}/rp_filter`
}

function dotted(key: string): string {
  return key.replaceAll('/', '.')
}
