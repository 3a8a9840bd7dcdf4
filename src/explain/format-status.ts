// `fairlead status`: formats the agent's status as one page.
import type { AgentStatus } from '../agent/status-shape.ts'
import { formatCidr } from '../net/cidr.ts'
import { describeDrift } from './checks/pods.ts'

/** @param now ms since the epoch. */
export function formatStatus(agent: AgentStatus, now: number): string {
  const ago = (then: number | undefined): string =>
    then === undefined ? 'never' : `${Math.max(0, Math.round((now - then) / 1000))} s ago`
  const watches = agent.watches.map(({ resource, objects, state, lastEventAt, lastError }) => {
    const error = lastError === undefined ? '' : ` (${lastError})`
    return `  ${resource.padEnd(16)} ${String(objects).padStart(6)}  ${state}, heard ${ago(lastEventAt)}${error}`
  })
  const pools = agent.pools.map(
    ({ podCidr, size, used, resting }) =>
      `  ${formatCidr(podCidr)}: ${used} used, ${resting} resting, ${formatCount(size - used - resting)} free`,
  )
  const width = Math.max(0, ...agent.repairs.map(({ room }) => room.length))
  const repairs = agent.repairs.map(
    ({ room, count, lastAt, last }) =>
      `  ${room.padEnd(width)} ${String(count).padStart(6)}, last ${ago(lastAt)}: ${last}`,
  )
  const problems = [...new Set([...agent.missing, ...agent.problems])]
  return [
    `node ${agent.node}: ${agent.missing.length === 0 ? 'ready' : 'not ready'}`,
    ...problems.map((sentence) => `  ${sentence}`),
    `network: checked ${ago(agent.passedAt)}, changed ${ago(agent.changedAt)}`,
    agent.repairs.length === 0 ? 'drift: none since the agent started' : 'drift, put right since the agent started:',
    ...repairs,
    `overlay: ${agent.overlay}, ${agent.peers} ${agent.peers === 1 ? 'peer' : 'peers'}`,
    ...offload(agent),
    `pods: ${agent.attachments} attached to ${agent.bridge}`,
    ...agent.podDrift.map((drift) => `  not as made: ${describeDrift(drift)}`),
    ...pools,
    `Services: ${agent.serviceAddresses.length} cluster IPs`,
    ...agent.services.map(
      ({ family, ports, endpoints, rules, syncedAt }) =>
        `  IPv${family}: ${ports} ports, ${endpoints} endpoints, ${rules} rules, synced ${ago(syncedAt)}`,
    ),
    ...policies(agent, ago),
    `API server: ${agent.api}`,
    ...watches,
  ].join('\n')
}

function policies({ policy }: AgentStatus, ago: (then: number | undefined) => string): string[] {
  if (policy === undefined) return []
  const isolated = `${policy.isolated} pods of this node isolated, ${policy.held} until their labels are known`
  return [`NetworkPolicies: ${policy.policies}; ${isolated}, synced ${ago(policy.syncedAt)}`]
}

/** Formats a count too large to be exact as a power of two, as the size of an IPv6 pool is known. */
function formatCount(count: number): string {
  return count <= Number.MAX_SAFE_INTEGER ? String(count) : `about 2^${Math.round(Math.log2(count))}`
}

/** Mentions checksum offload only if it is off, which costs throughput. */
function offload({ vxlanDevice, checksumOffload }: AgentStatus): string[] {
  if (checksumOffload === undefined || checksumOffload.on) return []
  const { setting, ours } = checksumOffload
  const reason =
    setting === 'off'
      ? 'checksumOffload: off'
      : ours
        ? `checksumOffload: ${setting}, because the network card miscalculates`
        : 'by another program'
  return [`  checksum offload of ${vxlanDevice}: off (${reason})`]
}
