// `fairlead doctor`: all checks, over facts that were read once.
import type { Check, Examine } from './check.ts'
import { examineAgent } from './checks/agent.ts'
import { examineApi } from './checks/api.ts'
import { examineCniConfigs } from './checks/cni-configs.ts'
import { examineBackends, examineFirewalld, examineFirewalls, examineForward } from './checks/firewalls.ts'
import { examineNetworks, examineNodes } from './checks/networks.ts'
import { examineChecksums, examineMtu, examineOverlay, examineUnderlay } from './checks/peers.ts'
import { examinePolicies } from './checks/policies.ts'
import { examineBridgeFilter, examineConntrack, examineForwarding, examineReversePath } from './checks/sysctls.ts'
import { examineNft, examineTools } from './checks/tools.ts'
import type { NodeFacts } from './node-facts.ts'

/** From what everything needs to what one kind of connection needs. */
const checks: readonly Examine[] = [
  examineAgent,
  examineTools,
  examineApi,
  examineCniConfigs,
  examineNodes,
  examineNetworks,
  examineForwarding,
  examineBridgeFilter,
  examineReversePath,
  examineForward,
  examineBackends,
  examineFirewalls,
  examineFirewalld,
  examineNft,
  examineConntrack,
  examineUnderlay,
  examineOverlay,
  examineChecksums,
  examineMtu,
  examinePolicies,
]

export function examine(facts: NodeFacts): readonly Check[] {
  return checks.map((check) => check(facts))
}

/** One line a check; below one that failed, what is wrong and what to do. */
export function formatChecks(checks: readonly Check[]): string {
  const width = Math.max(...checks.map(({ name }) => name.length))
  return checks
    .flatMap(({ name, seenAs, findings, note, skipped }) => {
      const line = (word: string, rest: string): string => `${word.padEnd(7)} ${name.padEnd(width)}  ${rest}`.trimEnd()
      if (skipped !== undefined) return [line('skipped', skipped)]
      if (findings.length === 0) return [line('ok', note ?? '')]
      return [
        line('FAILED', `seen as: ${seenAs}`),
        ...findings.flatMap(({ problem, remedy }) => [`        ${problem}`, `        -> ${remedy}`]),
      ]
    })
    .join('\n')
}
