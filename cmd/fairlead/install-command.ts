// `fairlead install`: what the DaemonSet's init container does.
import { Command, Option } from 'commander'

interface InstallFlags {
  cniBinDir: string
  cniConfDir: string
  output?: 'json'
}

export function installCommand(): Command {
  return new Command('install')
    .description('put the CNI binary (and, where there is none, `loopback`) and its directories on this node')
    .option('--cni-bin-dir <directory>', 'where the runtime looks for CNI plugins', '/opt/cni/bin')
    .addOption(
      new Option('--cni-conf-dir <directory>', 'where the runtime looks for CNI configuration')
        .env('FAIRLEAD_CNI_CONF_DIR')
        .default('/etc/cni/net.d'),
    )
    .addOption(new Option('-o, --output <format>', 'for programs').choices(['json']))
    .action(async ({ cniBinDir, cniConfDir, output }: InstallFlags) => {
      const { builtCniBinary, install } = await import('../../src/host/install.ts')
      const files = await install({ source: builtCniBinary, cniBinDir, cniConfDir })
      if (output === 'json') process.stdout.write(`${JSON.stringify({ files }, undefined, 2)}\n`)
      else
        for (const { path, state } of files)
          process.stdout.write(`${path}: ${state === 'kept' ? "another's, kept" : state}\n`)
    })
}
