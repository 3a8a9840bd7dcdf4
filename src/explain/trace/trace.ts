// `fairlead trace`: gathers the state that a trace needs and walks a packet through the live kernel.
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
import { endpoint, type LocalNode } from './flow.ts'
import type { Trace } from './hop.ts'
import { LiveState } from './live-state.ts'
import { parseArgument } from './trace-argument.ts'
import { resolveSource, resolveTarget, type TraceSource } from './trace-ends.ts'
import { walkTrace } from './walk-trace.ts'

export interface TraceRequest {
  readonly stateDir: string
  /** Undefined for this node itself. */
  readonly from: string | undefined
  readonly to: string
  readonly protocol: Protocol
}

/** ms to wait for the agent; a trace does without an agent that hangs. */
const agentTimeoutMs = 2000

/** @throws {TraceInputError} when an end cannot be resolved, or the packet does not pass this node. */
export async function trace({ stateDir, from, to, protocol }: TraceRequest): Promise<Trace> {
  const [sourceArgument, targetArgument] = [from === undefined ? undefined : parseArgument(from), parseArgument(to)]
  const log = pino({ level: 'silent' })
  await using kernel = openKernel({ log })
  const iptables = openIptables(kernel, { log })
  const { agent, failure } = await agentOf(stateDir)
  const backend = await iptables.backend()
  const local: LocalNode = {
    node: agent?.node ?? hostname(),
    bridge: agent?.bridge ?? 'cni0',
    vxlanDevice: agent?.vxlanDevice ?? 'fairlead.1',
    nodes: agent?.nodes ?? [],
    attachments: await attachmentsIn(stateDir),
    iptables: { 4: `iptables-${backend}`, 6: `ip6tables-${backend}` },
  }
  const [foundSource, foundTarget] =
    agent === undefined ? [] : await lookUpAll(stateDir, [sourceArgument?.name ?? local.node, targetArgument.name])
  const source: TraceSource =
    sourceArgument === undefined
      ? { kind: 'node', text: `node ${local.node}` }
      : resolveSource(sourceArgument, foundSource, local)
  const target = resolveTarget(targetArgument, foundTarget, source, protocol, local)
  const state = new LiveState({
    kernel,
    iptables,
    lookUp: async (of) => (agent === undefined ? [] : lookUpAll(stateDir, of)),
  })
  const path = await state.run(walkTrace(local, source, target))
  const limits = 'names, policies and other nodes are shown only as far as the kernel shows them'
  const remarks = [
    ...(failure === undefined ? [] : [`the agent does not answer (${failure}): ${limits}`]),
    ...(targetArgument.port === undefined && target.service === undefined
      ? [`port ${target.port} is assumed: say :PORT for another`]
      : []),
  ]
  return {
    from: source.text,
    to: `${target.text}, ${endpoint(target.address, target.port)}/${protocol}`,
    path,
    remarks,
  }
}

async function agentOf(stateDir: string): Promise<{ agent: AgentStatus | undefined; failure: string | undefined }> {
  try {
    return { agent: parseStatus(await statusText(stateDir, agentTimeoutMs)), failure: undefined }
  } catch (error) {
    return { agent: undefined, failure: error instanceof Error ? error.message : String(error) }
  }
}

/** Reads the attachments that the agent keeps on disk, which needs no running agent. */
async function attachmentsIn(stateDir: string): Promise<PodAttachment[]> {
  const directory = join(stateDir, 'attachments')
  const names = await readdir(directory).catch(() => [])
  const read = names
    .filter((name) => name.endsWith('.json'))
    .map(async (name) => {
      try {
        return [decodeAttachment(await readFile(join(directory, name), 'utf8'))]
      } catch {
        // Deleted meanwhile, or damaged, which the agent logs itself.
        return []
      }
    })
  return (await Promise.all(read)).flat()
}
