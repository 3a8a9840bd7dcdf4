// `fairlead status`: the agent in one page.
import type { AgentStatus } from '../agent/status-shape.ts'
import { formatCidr } from '../net/cidr.ts'

/** @param now ms since the epoch */
export function formatStatus(agent: AgentStatus, now: number): string {
  const ago = (then: number | undefined): string =>
    then === undefined ? 'never' : `${Math.max(0, Math.round((now - then) / 1000))} s ago`
  const kept = agent.watches.map(
    ({ resource, objects, state, lastEventAt, lastError }) =>
      `  ${resource.padEnd(16)} ${String(objects).padStart(6)}  ${state}, heard ${ago(lastEventAt)}${lastError === undefined ? '' : ` (${lastError})`}`,
  )
  const pools = agent.pools.map(
    ({ podCidr, size, used, resting }) =>
      `  ${formatCidr(podCidr)}: ${used} used, ${resting} resting, ${size - used - resting} free`,
  )
  const width = Math.max(0, ...agent.repairs.map(({ room }) => room.length))
  const repairs = agent.repairs.map(
    ({ room, count, lastAt, last }) =>
      `  ${room.padEnd(width)} ${String(count).padStart(6)}, last ${ago(lastAt)}: ${last}`,
  )
  const wrong = [...new Set([...agent.missing, ...agent.problems])]
  return [
    `node ${agent.node}: ${agent.missing.length === 0 ? 'ready' : 'not ready'}`,
    ...wrong.map((sentence) => `  ${sentence}`),
    `network: checked ${ago(agent.passedAt)}, changed ${ago(agent.changedAt)}`,
    agent.repairs.length === 0 ? 'drift: none since the agent started' : 'drift, put right since the agent started:',
    ...repairs,
    `overlay: ${agent.overlay}, ${agent.peers} ${agent.peers === 1 ? 'peer' : 'peers'}`,
    ...offload(agent),
    `pods: ${agent.attachments} attached to ${agent.bridge}`,
    ...pools,
    `Services: ${agent.serviceAddresses.length} cluster IPs`,
    ...agent.services.map(
      ({ family, ports, endpoints, rules, syncedAt }) =>
        `  IPv${family}: ${ports} ports, ${endpoints} endpoints, ${rules} rules, synced ${ago(syncedAt)}`,
    ),
    ...(agent.policy === undefined
      ? []
      : [
          `NetworkPolicies: ${agent.policy.policies}; ${agent.policy.isolated} pods of this node isolated, ${agent.policy.held} until their labels are known, synced ${ago(agent.policy.syncedAt)}`,
        ]),
    `API server: ${agent.api}`,
    ...kept,
  ].join('\n')
}

/** Only what costs throughput is worth a line. */
function offload({ vxlanDevice, checksumOffload }: AgentStatus): string[] {
  if (checksumOffload === undefined || checksumOffload.on) return []
  const { setting, ours } = checksumOffload
  const why =
    setting === 'off'
      ? 'checksumOffload: off'
      : ours
        ? `checksumOffload: ${setting}, since the network card miscalculates`
        : 'by another program'
  return [`  checksum offload of ${vxlanDevice}: off (${why})`]
}
