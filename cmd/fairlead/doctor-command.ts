// `fairlead doctor`: what is wrong with this node's network, and what to do.
import { Command, Option } from 'commander'

interface DoctorFlags {
  stateDir: string
  cniConfDir: string
  output?: 'json'
}

export function doctorCommand(): Command {
  return new Command('doctor')
    .description(
      'check the network of this node, and say what to do about what is wrong; exit code 1 where a check fails. Nothing is changed',
    )
    .addOption(
      new Option('--state-dir <directory>', 'where the socket of the agent is')
        .env('FAIRLEAD_STATE_DIR')
        .default('/run/fairlead'),
    )
    .addOption(
      new Option('--cni-conf-dir <directory>', 'where the runtime looks for CNI configuration, while no agent says it')
        .env('FAIRLEAD_CNI_CONF_DIR')
        .default('/etc/cni/net.d'),
    )
    .addOption(new Option('-o, --output <format>', 'for programs').choices(['json']))
    .action(async ({ output, ...places }: DoctorFlags) => {
      if (process.getuid?.() !== 0)
        throw new Error('doctor reads rules as the agent does, which needs root: run it with sudo')
      const { gatherFacts } = await import('../../src/explain/gather-facts.ts')
      const { examine, formatChecks } = await import('../../src/explain/doctor.ts')
      const checks = examine(await gatherFacts(places))
      process.stdout.write(`${output === 'json' ? JSON.stringify(checks, undefined, 2) : formatChecks(checks)}\n`)
      if (checks.some(({ findings }) => findings.length > 0)) process.exitCode = 1
    })
}
