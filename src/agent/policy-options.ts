// The agent's configuration, as far as policies depend on it, in the words of their room.
import type { Family } from '../net/address.ts'
import type { PolicySettings } from '../policy/settings.ts'
import type { AgentConfig } from './config.ts'

export function policySettings(config: AgentConfig, families: readonly Family[]): PolicySettings {
  const { nodeName, policyOpenConnections, policyLogGroup: group, policyLogRate: perSecond } = config
  return {
    nodeName,
    families,
    judgeOpenConnections: policyOpenConnections === 'judge',
    log: group === undefined ? undefined : { group, perSecond },
  }
}
