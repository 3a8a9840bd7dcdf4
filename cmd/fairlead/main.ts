// The one program. Each command's code is loaded when that command runs, so that `agent` carries nothing of the lab.
import { Command, CommanderError } from 'commander'
import { agentCommand } from './agent-command.ts'
import { cleanupCommand } from './cleanup-command.ts'
import { doctorCommand } from './doctor-command.ts'
import { installCommand } from './install-command.ts'
import { labCommand } from './lab-commands.ts'
import { renderCommand } from './render-command.ts'
import { statusCommand } from './status-command.ts'
import { traceCommand } from './trace-command.ts'
import { version } from './version.ts'

const program = new Command('fairlead')
  .description('The network of a Kubernetes node: CNI plugin, overlay, service proxy and network policy')
  .version(version, '--version', 'print version and commit')
  .helpCommand(false)
  // So that `lab kubectl --version` is kubectl's.
  .enablePositionalOptions()
  .addCommand(agentCommand())
  .addCommand(installCommand())
  .addCommand(cleanupCommand())
  .addCommand(doctorCommand())
  .addCommand(labCommand())
  .addCommand(renderCommand())
  .addCommand(statusCommand())
  .addCommand(traceCommand())

saysAndExitsLikeUs(program)
try {
  await program.parseAsync()
} catch (error) {
  // commander has printed its sentence already; wrong usage is 2, help and version are 0.
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 2
  else {
    process.stderr.write(`fairlead: ${error instanceof Error ? error.message : String(error)}\n`)
    process.exitCode = error instanceof Error && error.name === 'ConfigError' ? 2 : 1
  }
}

/**
 * commander hands neither down to commands that were made apart: without it, a wrong flag of `agent` would end the
 * process with 1.
 */
function saysAndExitsLikeUs(command: Command): void {
  command.exitOverride().showHelpAfterError('(--help tells more)')
  for (const each of command.commands) saysAndExitsLikeUs(each)
}
