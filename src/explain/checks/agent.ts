// Checks the agent of this node: whether it answers and is ready, how recent its view of the cluster is, which policies
// have no effect, and whether the runtime uses its CNI configuration.
import { type Check, type Examine, type Finding, withoutAgent } from '../check.ts'
import type { NodeFacts } from '../node-facts.ts'

export const examineAgent: Examine = ({ agent, agentFailure }): Check => {
  const base = { name: 'agent', seenAs: 'pods that stay in ContainerCreating' }
  if (agent === undefined)
    return {
      ...base,
      findings: [
        {
          problem: `the agent of this node does not answer (${agentFailure})`,
          remedy: 'start it, and look into its log for why it ended: kubectl -n kube-system logs --previous POD',
        },
      ],
    }
  // A sentence may be in both lists. The check of nodes reports the nodes that are left out.
  const ofNodes = new Set(agent.leftOut?.map(({ problem }) => problem))
  const sentences = new Set([...agent.missing, ...agent.problems])
  return { ...base, findings: [...sentences].filter((sentence) => !ofNodes.has(sentence)).map(splitSentence) }
}

/** Splits a sentence of the agent: the text after the last semicolon is the remedy. */
export function splitSentence(sentence: string): { problem: string; remedy: string } {
  const at = sentence.lastIndexOf('; ')
  if (at < 0)
    return {
      problem: sentence,
      remedy: 'see the log of the agent; docs/operations.md, "Logs", says what each sentence asks for',
    }
  return { problem: sentence.slice(0, at), remedy: sentence.slice(at + 2) }
}

/** ms without an event. The server sends bookmarks every minute, and a watch is reopened after five at the latest. */
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
    const error = lastError === undefined ? '' : ` (${lastError})`
    return [
      {
        problem: `${resource} are not followed: ${since}${error}`,
        remedy:
          `see whether ${agent.api} answers from this node, ` +
          `and whether the agent's ClusterRole lets it list and watch ${resource}`,
      },
    ]
  })
  return { ...base, findings }
}

/** Checks for policies that protect less than they seem to. */
export function examinePolicies({ agent }: NodeFacts): Check {
  const base = { name: 'NetworkPolicies', seenAs: 'pods that a policy was written for and that it does not cover' }
  if (agent === undefined) return { ...base, findings: [], skipped: withoutAgent }
  return { ...base, findings: agent.idlePolicies.map(({ problem, remedy }) => ({ problem, remedy })) }
}

/** Checks which configuration the runtime uses: the first by name. */
export function examineCniConfigs({ agent, cni: { directory, competing } }: NodeFacts): Check {
  const base = {
    name: 'CNI configuration',
    seenAs: 'pods that get their network from a plugin that does not exist any more',
  }
  if (agent?.podNetwork === false) return { ...base, findings: [], skipped: "the pod network is another program's" }
  return {
    ...base,
    findings: competing.map((file) => ({
      problem: `${directory}/${file} comes before ours, so the runtime uses it`,
      remedy: `remove ${directory}/${file}, or set takeOver: true`,
    })),
  }
}
