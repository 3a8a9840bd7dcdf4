// `fairlead trace`: where a packet goes from here, hop by hop, as the kernel has it now.
import { readdir, readFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import type { AgentStatus } from '../../agent/status-shape.ts'
import type { Protocol } from '../../cluster/service.ts'
import { openIptables } from '../../iptables/linux-iptables.ts'
import { openKernel } from '../../kernel/linux-kernel.ts'
import { decodeAttachment, type PodAttachment } from '../../pods/attachment-codec.ts'
import { lookUpAll, parseStatus, statusText } from '../ask-agent.ts'
import { Answers } from './answer.ts'
import { endpoint, type Here } from './flow.ts'
import type { Trace } from './hop.ts'
import { goalOf, type Named, parseNamed, startOf } from './place.ts'
import { walkTrace } from './walk.ts'

export interface TraceRequest {
  readonly stateDir: string
  /** Undefined: this node itself. */
  readonly from: string | undefined
  readonly to: string
  readonly protocol: Protocol
}

/** For an agent that may hang: a trace goes on without it. */
const patienceMs = 2000

/** @throws {PlaceError} where an end of it cannot be told, or lies elsewhere */
export async function trace({ stateDir, from, to, protocol }: TraceRequest): Promise<Trace> {
  const [source, target] = [from === undefined ? undefined : parseNamed(from), parseNamed(to)]
  const log = pino({ level: 'silent' })
  await using kernel = openKernel({ log })
  const iptables = openIptables(kernel, { log })
  const { agent, failure } = await agentOf(stateDir)
  const backend = await iptables.backend()
  const here: Here = {
    node: agent?.node ?? hostname(),
    bridge: agent?.bridge ?? 'cni0',
    vxlanDevice: agent?.vxlanDevice ?? 'fairlead.1',
    nodes: agent?.nodes ?? [],
    attachments: await attachmentsIn(stateDir),
    iptables: { 4: `iptables-${backend}`, 6: `ip6tables-${backend}` },
  }
  const [foundSource, foundTarget] =
    agent === undefined ? [] : await lookUpAll(stateDir, [source?.of ?? here.node, target.of])
  const start =
    source === undefined ? ({ kind: 'node', text: `node ${here.node}` } as const) : startOf(source, foundSource, here)
  const goal = goalOf(target, foundTarget, start, protocol, here)
  const answers = new Answers({
    kernel,
    iptables,
    lookUp: async (of) => (agent === undefined ? [] : lookUpAll(stateDir, of)),
  })
  const path = await answers.drive(walkTrace(here, start, goal))
  const remarks = [
    ...(failure === undefined
      ? []
      : [
          `the agent does not answer (${failure}): names, policies and other nodes are told as far as the kernel shows them`,
        ]),
    ...portRemark(target, goal),
  ]
  return { from: start.text, to: `${goal.text}, ${endpoint(goal.address, goal.port)}/${protocol}`, path, remarks }
}

function portRemark({ port }: Named, goal: { port: number; service: string | undefined }): string[] {
  return port === undefined && goal.service === undefined ? [`port ${goal.port} is assumed: say :PORT for another`] : []
}

async function agentOf(stateDir: string): Promise<{ agent: AgentStatus | undefined; failure: string | undefined }> {
  try {
    return { agent: parseStatus(await statusText(stateDir, patienceMs)), failure: undefined }
  } catch (error) {
    return { agent: undefined, failure: error instanceof Error ? error.message : String(error) }
  }
}

/** As the agent has left them on disk: also one that does not answer. */
async function attachmentsIn(stateDir: string): Promise<PodAttachment[]> {
  const directory = join(stateDir, 'attachments')
  const names = await readdir(directory).catch(() => [])
  const read = names
    .filter((name) => name.endsWith('.json'))
    .map(async (name) => {
      try {
        return [decodeAttachment(await readFile(join(directory, name), 'utf8'))]
      } catch {
        // Gone since, or damaged, which the agent says itself.
        return []
      }
    })
  return (await Promise.all(read)).flat()
}
