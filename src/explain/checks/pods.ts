// Pods whose own network is not as it was made, and stays so.
import type { AgentStatus } from '../../agent/status-shape.ts'
import type { Check, Examine, Finding } from '../check.ts'
import { withoutAgent } from '../check.ts'

type LeftDrift = AgentStatus['podDrift'][number]

/** "pod shop/vpn: the default route via 10.244.1.1 is missing (it may change its network: NET_ADMIN)" */
export function describeDrift({ pod, what, reason }: LeftDrift): string {
  return `pod ${pod}: ${what.join(', ')} (${reasons[reason]})`
}

const reasons: Readonly<Record<LeftDrift['reason'], string>> = {
  own: 'it may change its network: NET_ADMIN',
  chained: 'its CNI configuration has plugins after ours',
  unknown: 'the API server does not say whether it may change its network',
  refused: 'the kernel refuses to put it back',
}

/** What the pod or its configuration may have meant is told of and is no failure. */
export const examinePods: Examine = ({ agent }): Check => {
  const base = { name: 'pods', seenAs: 'one pod of many that does not reach the network' }
  if (agent === undefined) return { ...base, findings: [], skipped: withoutAgent }
  const isMeant = ({ reason }: LeftDrift): boolean => reason === 'own' || reason === 'chained'
  const meant = agent.podDrift.filter(isMeant)
  return {
    ...base,
    ...(meant.length > 0 && { note: `not as made: ${meant.map(describeDrift).join('; ')}` }),
    findings: agent.podDrift
      .filter((drift) => !isMeant(drift))
      .map((drift): Finding => ({
        problem: describeDrift(drift),
        remedy: 'delete the pod, so that it is made anew, and look for what changed it',
      })),
  }
}
