// `fairlead lab ...`: a cluster of network namespaces on this machine. The lab's code is loaded by the command that
//   runs.
import { Command, InvalidArgumentError, Option } from 'commander'
import { type Lab, labNamed, maxNodes, type NodeName, parseNodeName } from '../../src/lab/layout.ts'

interface Named {
  name: Lab
}
interface Printed extends Named {
  output?: 'json'
}

export function labCommand(): Command {
  // Set before the subcommands are made, which inherit it: wrong usage is told to main.ts, not ended here with exit
  // code 1.
  const lab = new Command('lab')
    .description('a cluster of network namespaces on this machine, to try things in')
    .exitOverride()
    .showHelpAfterError('(--help tells more)')
    .helpCommand(false)
    .enablePositionalOptions()

  named(lab.command('up'), 'bring a lab up, or change its number of nodes')
    .addOption(new Option('--nodes <n>', 'number of nodes').argParser(parseCount).default(2))
    .addOption(
      new Option('--family <family>', 'addresses of pods and services')
        .choices(['ipv4', 'ipv6', 'dual'])
        .default('ipv4'),
    )
    .addOption(
      new Option(
        '--overlay <mode>',
        'how pods of other nodes are reached (default: vxlan, or as the lab runs)',
      ).choices(['vxlan', 'direct', 'auto']),
    )
    .addOption(
      new Option('--without-br-netfilter', 'nodes as on a kernel that lacks it: all pod traffic is routed').hideHelp(),
    )
    .addOption(
      new Option(
        '--control-plane <kind>',
        'the API server: our own, or etcd and kube-apiserver from KUBEBUILDER_ASSETS (default: builtin, or as the lab runs)',
      ).choices(['builtin', 'envtest']),
    )
    .action(
      async (
        options: Named & {
          nodes: number
          family: string
          overlay?: 'vxlan' | 'direct' | 'auto'
          controlPlane?: 'builtin' | 'envtest'
          withoutBrNetfilter?: true
        },
        command,
      ) => {
        if (options.family !== 'ipv4')
          command.error(`error: --family ${options.family} is not there yet: the lab has IPv4 alone`)
        const { scaleNodes, startBase } = await import('../../src/lab/up.ts')
        const { enterControlNamespace, isInControlNamespace } = await import('../../src/lab/enter.ts')
        const { overlay, controlPlane, withoutBrNetfilter } = options
        const requested = {
          ...(overlay === undefined ? {} : { overlay }),
          ...(controlPlane === undefined ? {} : { controlPlane }),
          ...(withoutBrNetfilter === true ? { brNetfilter: false } : {}),
        }
        if (!isInControlNamespace(options.name)) await startBase(options.name, requested, print)
        enterControlNamespace(options.name)
        await scaleNodes(options.name, options.nodes, print)
        print(`lab ${options.name.name} is up: 'fairlead lab status' shows it, 'fairlead lab tour' walks through it`)
      },
    )

  named(lab.command('down'), 'take a lab down, or what is left of one').action(async (options: Named) => {
    const { takeDown } = await import('../../src/lab/down.ts')
    print((await takeDown(options.name)) ? `lab ${options.name.name} is gone` : `there was no lab ${options.name.name}`)
  })

  printed(lab.command('status'), 'show nodes and pods; exit code 1 unless all nodes are ready').action(
    async (options: Printed) => {
      const api = await enter(options.name)
      const { formatStatus, readStatus } = await import('../../src/lab/status.ts')
      const status = await readStatus(options.name, api)
      print(options.output === 'json' ? JSON.stringify(status, undefined, 2) : formatStatus(status))
      if (!status.nodes.every(({ ready }) => ready)) process.exitCode = 1
    },
  )

  printed(lab.command('tour'), 'show, step by step, that packets arrive and what carries them').action(
    async (options: Printed) => {
      const api = await enter(options.name)
      const { runTour } = await import('../../src/lab/tour/run-tour.ts')
      if (!(await runTour(options.name, api, { json: options.output === 'json', print }))) process.exitCode = 1
    },
  )

  for (const verb of ['apply', 'delete'] as const) {
    printed(
      lab.command(verb),
      verb === 'apply' ? 'create or update objects' : 'delete objects and wait until they are gone',
    )
      .requiredOption('-f, --file <file>', 'YAML or JSON, any number of documents; - for stdin')
      .action(async (options: Printed & { file: string }) => {
        const api = await enter(options.name)
        const { applyObject, deleteObject, readManifests } = await import('../../src/lab/objects.ts')
        const outcomes = []
        for (const manifest of readManifests(options.file)) {
          const outcome = await (verb === 'apply' ? applyObject : deleteObject)(api, manifest)
          outcomes.push(outcome)
          if (options.output !== 'json') print(`${outcome.object} ${outcome.outcome}`)
        }
        if (options.output === 'json') print(JSON.stringify(outcomes, undefined, 2))
        if (outcomes.some(({ outcome }) => outcome === 'not found')) process.exitCode = 1
      })
  }

  named(lab.command('exec'), 'run a command in a pod: lab exec POD -- CMD...')
    .option('-n, --namespace <namespace>', "the pod's namespace", 'default')
    .argument('<pod>')
    .argument('<command...>')
    .action(async (pod: string, command: string[], options: Named & { namespace: string }) => {
      const { execCommand, inPod } = await import('../../src/lab/enter.ts')
      execCommand(inPod(options.name, { namespace: options.namespace, name: pod }, command))
    })

  named(lab.command('node'), 'run a command on a node: lab node NODE -- CMD...')
    .argument('<node>', 'node1, node2, ...', parseNode)
    .argument('<command...>')
    .action(async (node: NodeName, command: string[], options: Named) => {
      const { execCommand } = await import('../../src/lab/enter.ts')
      const { inNode } = await import('../../src/lab/nodes.ts')
      execCommand(inNode(options.name, node, command))
    })

  named(lab.command('outside'), 'run a command as a client beyond the cluster: lab outside -- CMD...')
    .argument('<command...>')
    .action(async (command: string[], options: Named) => {
      const { execCommand, inMember } = await import('../../src/lab/enter.ts')
      execCommand(inMember(options.name, 'outside', command))
    })

  named(lab.command('kubectl'), "run kubectl as the lab's administrator")
    .argument('[args...]')
    .helpOption(false)
    .allowUnknownOption()
    .passThroughOptions()
    .action(async (args: string[], options: Named) => {
      const { execCommand, kubectl } = await import('../../src/lab/enter.ts')
      execCommand(kubectl(options.name, args))
    })

  named(lab.command('agent'), 'stop or start the agent of a node: lab agent stop|start NODE')
    .addArgument(lab.createArgument('<action>').choices(['stop', 'start']))
    .argument('<node>', 'node1, node2, ...', parseNode)
    .action(async (action: 'stop' | 'start', node: NodeName, options: Named) => {
      const api = await enter(options.name)
      const { switchAgent } = await import('../../src/lab/nodes.ts')
      await switchAgent(options.name, api, node, action === 'stop' ? 'stopped' : 'running')
      print(`the agent of ${node} is ${action === 'stop' ? 'stopped' : 'running'}`)
    })

  addProcesses(lab)
  return lab
}

/** What the lab starts by itself. */
function addProcesses(lab: Command): void {
  named(lab.command('control', { hidden: true }), 'the API server and controllers of a lab').action(
    async (options: Named) => {
      const { runControlPlane } = await import('../../src/lab/control-process.ts')
      await runControlPlane(options.name, stopSignal())
    },
  )
  named(lab.command('kubelet', { hidden: true }), 'the kubelet stand-in of a node')
    .addOption(new Option('--node <node>').argParser(parseNode).makeOptionMandatory())
    .addOption(new Option('--overlay <mode>').choices(['vxlan', 'direct', 'auto']).makeOptionMandatory())
    .action(async (options: Named & { node: NodeName; overlay: 'vxlan' | 'direct' | 'auto' }) => {
      const { runNodeKubelet } = await import('../../src/lab/node-kubelet.ts')
      await runNodeKubelet(options.name, options.node, options.overlay, stopSignal())
    })
}

function named(command: Command, description: string): Command {
  return command
    .description(description)
    .addOption(new Option('--name <lab>', 'the lab').argParser(parseLab).default(labNamed('lab'), 'lab'))
}

function printed(command: Command, description: string): Command {
  return named(command, description).addOption(new Option('-o, --output <format>', 'for programs').choices(['json']))
}

async function enter(lab: Lab) {
  const { enterControlNamespace } = await import('../../src/lab/enter.ts')
  enterControlNamespace(lab)
  const { connectAsAdmin } = await import('../../src/lab/admin.ts')
  return connectAsAdmin(lab)
}

function parseLab(text: string): Lab {
  return orInvalid(() => labNamed(text))
}

function parseNode(text: string): NodeName {
  return orInvalid(() => parseNodeName(text))
}

function parseCount(text: string): number {
  const count = /^\d+$/.test(text) ? Number(text) : 0
  if (count < 1 || count > maxNodes) throw new InvalidArgumentError(`Expected a number of nodes from 1 to ${maxNodes}.`)
  return count
}

function orInvalid<T>(parse: () => T): T {
  try {
    return parse()
  } catch (error) {
    throw new InvalidArgumentError(error instanceof Error ? error.message : String(error))
  }
}

function stopSignal(): AbortSignal {
  const stop = new AbortController()
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop.abort(signal))
  return stop.signal
}

function print(line: string): void {
  process.stdout.write(`${line}\n`)
}
