// `fairlead cleanup`: takes every trace of Fairlead from the node; with --foreign, what networks before it left there.
import { Command, Option } from 'commander'
import type { CleanupOptions, CleanupReport } from '../../src/host/cleanup.ts'

interface CleanupFlags {
  dryRun?: boolean
  purge?: boolean
  keepServices?: boolean
  foreign?: boolean
  cniBinDir: string
  cniConfDir: string
  stateDir: string
  output?: 'json'
}

export function cleanupCommand(): Command {
  return new Command('cleanup')
    .description('remove every trace of Fairlead from this node, and nothing else; the agent has to be stopped')
    .option('--dry-run', 'change nothing, and print the commands that would do it')
    .option('--purge', 'remove also what the runtime needs to delete the pods that are left')
    .option('--keep-services', 'leave the rules of Services to a kube-proxy that takes over from here')
    .addOption(
      new Option(
        '--foreign',
        'instead, remove what flannel, kindnet, kube-router, kube-proxy and the reference CNI plugins left; the agent may run',
      ).conflicts(['purge', 'keepServices']),
    )
    .option('--cni-bin-dir <directory>', 'where the runtime looks for CNI plugins', '/opt/cni/bin')
    .addOption(
      new Option('--cni-conf-dir <directory>', 'where the runtime looks for CNI configuration')
        .env('FAIRLEAD_CNI_CONF_DIR')
        .default('/etc/cni/net.d'),
    )
    .addOption(
      new Option('--state-dir <directory>', 'socket, attachments and lock of the agent')
        .env('FAIRLEAD_STATE_DIR')
        .default('/run/fairlead'),
    )
    .addOption(new Option('-o, --output <format>', 'for programs').choices(['json']))
    .action(
      async ({
        dryRun = false,
        purge = false,
        keepServices = false,
        foreign = false,
        cniBinDir,
        cniConfDir,
        stateDir,
        output,
      }: CleanupFlags) => {
        if (process.getuid?.() !== 0) throw new Error('cleanup needs root, as the agent does: run it with sudo')
        const report = foreign
          ? await cleanUpOthers(dryRun, cniConfDir)
          : await cleanUpOurs({ dryRun, purge, keepServices, cniBinDir, cniConfDir, stateDir })
        if (output === 'json') process.stdout.write(`${JSON.stringify(report, undefined, 2)}\n`)
        else
          process.stdout.write(
            asScript(
              report,
              foreign
                ? '# nothing that another network left was found on this node'
                : '# nothing of Fairlead is left to remove on this node',
            ),
          )
        for (const failure of report.failures) process.stderr.write(`fairlead: ${failure}\n`)
        if (report.failures.length > 0) process.exitCode = 1
      },
    )
}

async function cleanUpOurs(options: CleanupOptions): Promise<CleanupReport> {
  const { cleanUp } = await import('../../src/host/cleanup.ts')
  return cleanUp(options)
}

async function cleanUpOthers(dryRun: boolean, cniConfDir: string): Promise<CleanupReport> {
  const { cleanUpForeign } = await import('../../src/host/foreign/clean-up-foreign.ts')
  return cleanUpForeign({ dryRun, cniConfDir, cniDir: '/var/lib/cni' })
}

/** What is no command is a comment, so that a shell can take all of it. */
function asScript({ commands, kept }: CleanupReport, otherwise: string): string {
  const lines = commands.length === 0 ? [otherwise] : commands
  return [...lines, ...kept.map((sentence) => `# ${sentence}`), ''].join('\n')
}
