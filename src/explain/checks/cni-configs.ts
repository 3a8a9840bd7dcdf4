// Which network the runtime uses: the first configuration by name.
import type { Check } from '../check.ts'
import type { NodeFacts } from '../node-facts.ts'

export function examineCniConfigs({ agent, cni: { directory, competing } }: NodeFacts): Check {
  const base = {
    name: 'CNI configuration',
    seenAs: 'pods that get their network from a plugin that is not there any more',
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
