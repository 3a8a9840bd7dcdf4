// `fairlead trace`: shows where a packet goes from this node, hop by hop, from live kernel state.
import { Command, Option } from 'commander'
import type { TraceRequest } from '../../src/explain/trace/trace.ts'

interface TraceFlags {
  stateDir: string
  from?: string
  to: string
  proto: TraceRequest['protocol']
  output?: 'json'
}

export function traceCommand(): Command {
  return new Command('trace')
    .description(
      'show where a connection goes on this node, hop by hop, with the route, entry or rule that decides there, as the kernel has it now; exit code 1 where it does not arrive. Nothing is changed or sent',
    )
    .exitOverride()
    .showHelpAfterError('(--help tells more)')
    .option('--from <start>', 'a pod, a node, an address, or "outside" (default: this node)')
    .requiredOption('--to <target>', 'a pod, Service, node or address, with :PORT')
    .addOption(new Option('--proto <protocol>', 'of the connection').choices(['tcp', 'udp', 'sctp']).default('tcp'))
    .addOption(
      new Option('--state-dir <directory>', 'where the socket of the agent is')
        .env('FAIRLEAD_STATE_DIR')
        .default('/run/fairlead'),
    )
    .addOption(new Option('-o, --output <format>', 'for programs').choices(['json']))
    .action(async ({ stateDir, from, to, proto: protocol, output }: TraceFlags, command: Command) => {
      if (process.getuid?.() !== 0)
        throw new Error('trace reads rules and the wires of pods as the agent does, which needs root: run it with sudo')
      const { trace } = await import('../../src/explain/trace/trace.ts')
      const { TraceInputError } = await import('../../src/explain/trace/trace-argument.ts')
      const { arrives } = await import('../../src/explain/trace/hop.ts')
      const { formatTrace } = await import('../../src/explain/trace/format.ts')
      const traced = await trace({ stateDir, from, to, protocol }).catch((error: unknown) => {
        if (error instanceof TraceInputError) command.error(`error: ${error.message}`)
        throw error
      })
      process.stdout.write(
        `${output === 'json' ? JSON.stringify({ ...traced, arrives: arrives(traced.path) }, undefined, 2) : formatTrace(traced)}\n`,
      )
      if (!arrives(traced.path)) process.exitCode = 1
    })
}
