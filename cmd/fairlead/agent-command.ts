// `fairlead agent`: every configuration key is also a flag.
import { Command } from 'commander'
import { configKeys } from '../../src/agent/config-keys.ts'
import { flagName, loadConfig, variableName } from '../../src/agent/config.ts'

export function agentCommand(): Command {
  const command = new Command('agent')
    .description("run this node's network (the DaemonSet's process)")
    .option('--config <file>', 'YAML file with any of the keys below')
    .action(async (flags: Record<string, unknown>) => {
      const file = flags['config'] as string | undefined
      const load = () => loadConfig({ file, flags, environment: process.env })
      const config = load()
      const { runAgent } = await import('../../src/agent/agent.ts')
      await runAgent({ config, load, file }, stopSignal())
    })
  for (const [key, { help }] of Object.entries(configKeys)) {
    const option = command.createOption(`${flagName(key)} <value>`, `${help} [${key}, ${variableName(key)}]`)
    // commander would call `--non-masquerade-cidrs` nonMasqueradeCidrs; the key has its own spelling.
    option.attributeName = () => key
    command.addOption(option)
  }
  return command
}

/** Aborts at the first SIGTERM or SIGINT; the dataplane is left as it is. A second one ends the process at once. */
function stopSignal(): AbortSignal {
  const stop = new AbortController()
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop.abort(signal))
  return stop.signal
}
