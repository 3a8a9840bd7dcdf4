// `fairlead status`: what the agent of this node has programmed, and what it waits for.
import { Command, Option } from 'commander'

interface StatusFlags {
  stateDir: string
  output?: 'json'
}

export function statusCommand(): Command {
  return new Command('status')
    .description(
      'show what the agent of this node has programmed, whom it reaches and when it last looked; exit code 1 unless it is ready',
    )
    .addOption(
      new Option('--state-dir <directory>', 'where the socket of the agent is')
        .env('FAIRLEAD_STATE_DIR')
        .default('/run/fairlead'),
    )
    .addOption(new Option('-o, --output <format>', 'for programs').choices(['json']))
    .action(async ({ stateDir, output }: StatusFlags) => {
      const { parseStatus, statusText } = await import('../../src/explain/ask-agent.ts')
      const { formatStatus } = await import('../../src/explain/format-status.ts')
      const text = await statusText(stateDir).catch((error: unknown) => {
        throw new Error(
          `The agent of this node does not answer at ${stateDir}/cni.sock (${error instanceof Error ? error.message : String(error)}): start it, or name its directory with --state-dir`,
          { cause: error },
        )
      })
      const status = parseStatus(text)
      process.stdout.write(`${output === 'json' ? text : formatStatus(status, Date.now())}\n`)
      if (status.missing.length > 0) process.exitCode = 1
    })
}
