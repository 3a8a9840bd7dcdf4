// What tells the runtime that pods of this node come to us: the CNI configuration, and that none comes before it.
import type { Logger } from 'pino'
import { competingConfigs, conflist, installConflist, setAside } from '../pods/cni/conflist.ts'
import type { AgentConfig } from './config.ts'

/** Last in a pass: from here on the runtime sends us pods. @returns what keeps it from that, a sentence each. */
export async function announce(
  { cniConfDir, takeOver }: Pick<AgentConfig, 'cniConfDir' | 'takeOver'>,
  log: Logger,
): Promise<readonly string[]> {
  if ((await installConflist(cniConfDir, conflist())) === 'written')
    log.info({ directory: cniConfDir }, 'ready: CNI configuration written')
  const competitors = await competingConfigs(cniConfDir)
  if (!takeOver)
    return competitors.map(
      (file) =>
        `${cniConfDir}/${file} comes before our CNI configuration, so the runtime uses it: remove it or set takeOver`,
    )
  for (const file of competitors) {
    const aside = await setAside(cniConfDir, file)
    if (aside !== undefined)
      log.warn(
        { command: `mv ${cniConfDir}/${file} ${cniConfDir}/${aside}` },
        `${file} came before our CNI configuration and was set aside (takeOver)`,
      )
  }
  return []
}
