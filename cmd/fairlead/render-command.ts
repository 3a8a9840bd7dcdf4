// `fairlead render`: the rules that manifests make on a node, with no kernel and no API server; with --diff, how the
//   kernel that it runs on differs from them.
import { Command, InvalidArgumentError, Option } from 'commander'
import { type AgentConfig, loadConfig } from '../../src/agent/config.ts'
import { protectedIn } from '../../src/agent/protected-ports.ts'
import { servicesOptions } from '../../src/agent/services-options.ts'
import { type Chains, formatRule } from '../../src/iptables/rule.ts'
import { parseCidr } from '../../src/net/cidr.ts'
import type { Manifest } from '../../src/services/manifests.ts'
import type { ServicesOptions } from '../../src/services/options.ts'

interface RenderOptions {
  file: readonly string[]
  node: string
  config?: string
  clusterCidr?: string
  layout?: ServicesOptions['layout']
  diff?: true
  output?: 'json'
}

export function renderCommand(): Command {
  return new Command('render')
    .exitOverride()
    .showHelpAfterError('(--help tells more)')
    .description('print the rules that Services and EndpointSlices in manifests make on a node; no kernel is touched')
    .requiredOption(
      '-f, --file <file>',
      'YAML or JSON with Services, EndpointSlices and Nodes; - for stdin; may be given again',
      (file: string, before: readonly string[] | undefined) => [...(before ?? []), file],
    )
    .requiredOption('--node <name>', 'the node whose rules they are')
    .option('--config <file>', "the agent's configuration, for all that follows from it")
    .addOption(
      new Option(
        '--cluster-cidr <cidrs>',
        'addresses of all pods, one block a family: tells pods from others (default: the podCIDR of the node; where nothing tells, no ClusterIP traffic is masqueraded)',
      ).argParser(checkedCidrs),
    )
    .addOption(
      new Option('--layout <layout>', 'how many frontends are found (default: tree)').choices(['tree', 'flat']),
    )
    .option(
      '--diff',
      'print how the rules of this node differ from them; the exit code is 1 where they do. Nothing is written',
    )
    .addOption(new Option('-o, --output <format>', 'for programs').choices(['json']))
    .action(async (options: RenderOptions) => {
      const { readManifests } = await import('../../src/lab/objects.ts')
      const manifests = options.file.flatMap((file) =>
        readManifests(file, (problem) => {
          printProblems([problem])
          process.exitCode = 1
        }),
      )
      await (options.diff === true ? printDiff(manifests, options) : printRules(manifests, options))
    })
}

async function printRules(manifests: readonly Manifest[], options: RenderOptions): Promise<void> {
  const { renderManifests } = await import('../../src/services/render-manifests.ts')
  const { clusterObjects } = await import('../../src/services/manifests.ts')
  const { tableText } = await import('../../src/services/table-text.ts')
  const config = agentConfig(options)
  const { families, problems } = renderManifests(
    manifests,
    options.node,
    servicesOptions(config, { serviceCidrs: clusterObjects(manifests).serviceBlocks }),
    (objects) => protectedIn(objects, options.node, config),
  )
  if (options.output === 'json')
    return printJson({
      families: families.map(({ family, rules: { filter, nat } }) => ({
        family,
        filter: ruleTexts(filter),
        nat: ruleTexts(nat),
      })),
      problems,
    })
  printProblems(problems)
  // One family is input for iptables-restore as it stands; of two, each says whose it is.
  for (const { family, rules } of families)
    process.stdout.write(`${families.length > 1 ? `# IPv${family}\n` : ''}${tableText(rules)}`)
}

async function printDiff(manifests: readonly Manifest[], options: RenderOptions): Promise<void> {
  const { liveDiff } = await import('../../src/agent/live-diff.ts')
  const { diffText } = await import('../../src/services/rules-diff.ts')
  const { backend, diffs, problems } = await liveDiff(manifests, options.node, agentConfig(options))
  if (diffs.some(({ tables }) => tables.length > 0)) process.exitCode = 1
  if (options.output === 'json') return printJson({ backend, families: diffs, problems })
  printProblems(problems)
  for (const diff of diffs) process.stdout.write(diffText(diff))
}

function ruleTexts(chains: Chains): Record<string, readonly string[]> {
  return Object.fromEntries([...chains].map(([chain, rules]) => [chain, rules.map(formatRule)]))
}

/** Of the agent whose rules they are. */
function agentConfig({ config: file, layout, clusterCidr: clusterCIDR }: RenderOptions): AgentConfig {
  return loadConfig({ file, flags: { layout, clusterCIDR }, environment: process.env })
}

function printJson(answer: object): void {
  process.stdout.write(`${JSON.stringify(answer, undefined, 2)}\n`)
}

function printProblems(problems: readonly string[]): void {
  for (const problem of problems) process.stderr.write(`fairlead: ${problem}\n`)
}

/** The text again, when it is good. */
function checkedCidrs(text: string): string {
  try {
    text.split(',').forEach(parseCidr)
    return text
  } catch (error) {
    throw new InvalidArgumentError(error instanceof Error ? error.message : String(error))
  }
}
