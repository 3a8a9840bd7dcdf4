// The agent itself: whether it answers, serves pods, and has something to say.
import type { Check, Examine } from '../check.ts'

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
  // What waits was said in the log too, where it is a problem. The check of nodes reports those that are left out.
  const ofNodes = new Set(agent.leftOut?.map(({ problem }) => problem))
  const sentences = new Set([...agent.missing, ...agent.problems])
  return { ...base, findings: [...sentences].filter((sentence) => !ofNodes.has(sentence)).map(inTwo) }
}

/** Our sentences say what is wrong, and after the last semicolon what to do. */
export function inTwo(sentence: string): { problem: string; remedy: string } {
  const at = sentence.lastIndexOf('; ')
  if (at < 0)
    return {
      problem: sentence,
      remedy: 'see the log of the agent; docs/operations.md, "Logs", says what each sentence asks for',
    }
  return { problem: sentence.slice(0, at), remedy: sentence.slice(at + 2) }
}
