// How fresh what the agent knows of the cluster is.
import type { Check, Finding } from '../check.ts'
import { withoutAgent } from '../check.ts'
import type { NodeFacts } from '../node-facts.ts'

/** A watch ends after five minutes at the latest and is opened again, and servers send bookmarks each minute. */
const staleAfterMs = 6 * 60_000

export function examineApi({ agent, now }: NodeFacts): Check {
  const base = { name: 'API server', seenAs: 'Services and nodes as they were before' }
  if (agent === undefined) return { ...base, findings: [], skipped: withoutAgent }
  const findings = agent.watches.flatMap(({ resource, state, lastEventAt, lastError }): Finding[] => {
    const age = lastEventAt === undefined ? undefined : now - lastEventAt
    if (lastError === undefined && age !== undefined && age < staleAfterMs && state !== 'stopped') return []
    const since =
      age === undefined
        ? 'nothing has been read of them yet'
        : `what is known of them is ${Math.round(age / 1000)} s old`
    return [
      {
        problem: `${resource} are not followed: ${since}${lastError === undefined ? '' : ` (${lastError})`}`,
        remedy: `see whether ${agent.api} answers from this node, and whether the agent's ClusterRole lets it list and watch ${resource}`,
      },
    ]
  })
  return { ...base, findings }
}
