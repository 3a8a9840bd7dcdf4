// Which programs we drive, said once: the first question about any log.
import type { Logger } from 'pino'
import type { ShellWorkers } from './shell-workers.ts'

const questions = [
  'ip -V',
  'nsenter --version',
  'iptables-nft --version',
  'iptables-legacy --version',
  'nft --version',
  'conntrack --version',
]

/** Never fails: what is missing is reported by what needs it. */
export async function logVersions(workers: ShellWorkers, log: Logger): Promise<void> {
  try {
    const { stdout } = await workers.run(questions.map((question) => `${question} 2>/dev/null </dev/null`).join('\n'))
    log.info({ versions: stdout.trim().split('\n') }, 'tools found')
  } catch (error) {
    log.warn({ err: error }, 'cannot ask for the versions of tools')
  }
}
