// `fairlead render`: the rules that manifests make on a node, with no kernel and no API server.
import { Command, InvalidArgumentError, Option } from 'commander'
import { type Cidr, parseCidr } from '../../src/net/cidr.ts'
import { defaultOptions, type ServicesOptions } from '../../src/services/options.ts'

interface RenderOptions {
  file: readonly string[]
  node: string
  clusterCidr: readonly Cidr[]
  layout: ServicesOptions['layout']
  output?: 'json'
}

export function renderCommand(): Command {
  return new Command('render')
    .exitOverride()
    .showHelpAfterError('(--help tells more)')
    .description('print the rules that Services and EndpointSlices in manifests make on a node; no kernel is touched')
    .requiredOption('-f, --file <file>', 'YAML or JSON with Services, EndpointSlices and Nodes; - for stdin; may be given again', (file: string, before: readonly string[] | undefined) => [...(before ?? []), file])
    .requiredOption('--node <name>', 'the node whose rules they are')
    .addOption(new Option('--cluster-cidr <cidrs>', 'addresses of all pods, one block a family: tells pods from others (without it, no ClusterIP traffic is masqueraded)').argParser(parseCidrs).default([], 'none'))
    .addOption(new Option('--layout <layout>', 'how many frontends are found').choices(['tree', 'flat']).default(defaultOptions.layout))
    .addOption(new Option('-o, --output <format>', 'for programs').choices(['json']))
    .action(async (options: RenderOptions) => {
      const { readManifests } = await import('../../src/lab/objects.ts')
      const { renderManifests } = await import('../../src/services/render-manifests.ts')
      const { tableText } = await import('../../src/services/table-text.ts')
      const services: ServicesOptions = { ...defaultOptions, layout: options.layout, detectLocal: { by: 'clusterCidr', cidrs: options.clusterCidr } }
      const { families, problems } = renderManifests(options.file.flatMap(readManifests), options.node, services)
      if (options.output === 'json') {
        const tables = families.map(({ family, rules: { filter, nat } }) => ({ family, filter: Object.fromEntries(filter), nat: Object.fromEntries(nat) }))
        process.stdout.write(`${JSON.stringify({ families: tables, problems }, undefined, 2)}\n`)
        return
      }
      for (const problem of problems) process.stderr.write(`fairlead: ${problem}\n`)
      // One family is input for iptables-restore as it stands; of two, each says whose it is.
      for (const { family, rules } of families) process.stdout.write(`${families.length > 1 ? `# IPv${family}\n` : ''}${tableText(rules)}`)
    })
}

function parseCidrs(text: string): readonly Cidr[] {
  try {
    return text.split(',').map(parseCidr)
  } catch (error) {
    throw new InvalidArgumentError(error instanceof Error ? error.message : String(error))
  }
}
