// `fairlead doctor`: runs all checks over facts that were read once.
import type { Check, Examine } from './check.ts'
import { examineAgent, examineApi, examineCniConfigs, examinePolicies } from './checks/agent.ts'
import { examineBackends, examineFirewalld, examineFirewalls, examineForward } from './checks/firewalls.ts'
import { examineNetworks, examineNodes } from './checks/networks.ts'
import { examineChecksums, examineMtu, examineOverlay, examineUnderlay } from './checks/peers.ts'
import { examinePods } from './checks/pods.ts'
import { examineBridgeFilter, examineConntrack, examineForwarding, examineReversePath } from './checks/sysctls.ts'
import { examineNft, examineTools } from './checks/tools.ts'
import type { NodeFacts } from './node-facts.ts'

/** In the order of dependence: from what every connection needs to what one kind of connection needs. */
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
  examinePods,
]

export function examine(facts: NodeFacts): readonly Check[] {
  return checks.map((check) => check(facts))
}

/** Formats a line for each check; below a failed one each problem and its remedy. */
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
