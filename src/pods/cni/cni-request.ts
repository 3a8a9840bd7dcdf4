// What the CNI binary sends, parsed and checked once. The body is the CNI_* environment as NAME=value closed by a zero
// byte each, a zero byte alone, and the network configuration as it came on stdin (cmd/fairlead-cni/main.c writes it).
import { type InterfaceName, parseInterfaceName } from '../../net/interface-name.ts'
import { safePath } from '../../kernel/link-changes.ts'
import type { Bandwidth, PodIdentity, PortMapping } from '../attachment.ts'
import { parsePodIdentity } from './cni-args.ts'
import { CniError, cniCodes } from './cni-error.ts'
import { type CniResult, parseResult } from './cni-result.ts'
import { type CniCommand, cniCommands, type CniVersion, requireCommand } from './cni-version.ts'
import {
  identifier,
  maxContainerIdLength,
  type NetConf,
  parseNetConf,
  parseRuntimeConfig,
  parseValidAttachments,
  type ValidAttachment,
} from './net-conf.ts'
import { parseValue } from './parse-shape.ts'

export type CniRequest = AddRequest | DelRequest | CheckRequest | GcRequest | StatusRequest

interface Request {
  /** The version to answer in. */
  readonly version: CniVersion
  readonly network: string
}

/** Which attachment is meant: with `network`, the key of {@link Attachment}. */
interface AttachmentRequest extends Request {
  readonly containerId: string
  readonly podInterface: InterfaceName
  /** st_dev:st_ino of CNI_NETNS as the binary saw it on the host; undefined where it saw nothing there. */
  readonly netnsId: string | undefined
}

export interface AddRequest extends AttachmentRequest {
  readonly command: 'ADD'
  readonly netns: string
  readonly pod: PodIdentity | undefined
  readonly portMappings: readonly PortMapping[]
  readonly bandwidth: Bandwidth | undefined
  /** What a plugin before us in the chain made. */
  readonly prevResult: CniResult | undefined
}

/**
 * A DEL says what to undo and no more: ports, limits and pod stand in the attachment. An error here would hold the pod
 * in Terminating and be repeated for ever, so nothing but the key can be wrong.
 */
export interface DelRequest extends AttachmentRequest {
  readonly command: 'DEL'
  /** Undefined when the namespace is gone already, or was never one that an ADD would take. */
  readonly netns: string | undefined
}

export interface CheckRequest extends AttachmentRequest {
  readonly command: 'CHECK'
  readonly netns: string
  readonly portMappings: readonly PortMapping[]
  readonly bandwidth: Bandwidth | undefined
  /** The result of the ADD, which the kernel must still hold. */
  readonly prevResult: CniResult
}

export interface GcRequest extends Request {
  readonly command: 'GC'
  /** Every attachment of the network that is not among these is to go. */
  readonly validAttachments: readonly ValidAttachment[]
}

interface StatusRequest extends Request {
  readonly command: 'STATUS'
}

/**
 * A network configuration is about 1 KB; a GC lists some 100 bytes for each pod, and an environment has at most 2 MB
 * (kernel, ARG_MAX).
 */
export const maxRequestBytes = 4 << 20

/** @throws {CniError} and nothing else, for anything that is not a request we can carry out. */
export function parseCniRequest(body: Buffer): CniRequest {
  if (body.length > maxRequestBytes)
    throw new CniError(cniCodes.decode, `the request has ${body.length} bytes, more than ${maxRequestBytes}`)
  const { variables, stdin } = split(body)
  const command = parseCommand(variables)
  switch (command) {
    case 'ADD': {
      const named = {
        ...parseAttachment(variables),
        netns: parseNetns(variables),
        pod: parsePodIdentity(variables.get('CNI_ARGS') ?? ''),
      }
      const conf = parseConf(command, stdin)
      return { command, ...conf.request, ...named, ...parseRuntimeConfig(conf), prevResult: parsePrevResult(conf) }
    }
    case 'DEL': {
      const named = parseAttachment(variables)
      return { command, ...parseConf(command, stdin).request, ...named, netns: usableNetns(variables) }
    }
    case 'CHECK': {
      const named = { ...parseAttachment(variables), netns: parseNetns(variables) }
      const conf = parseConf(command, stdin)
      const prevResult = parsePrevResult(conf)
      if (prevResult === undefined)
        throw new CniError(
          cniCodes.invalidConfig,
          'CHECK needs the result of the ADD, but the network configuration has no prevResult',
        )
      return { command, ...conf.request, ...named, ...parseRuntimeConfig(conf), prevResult }
    }
    case 'GC': {
      const conf = parseConf(command, stdin)
      return { command, ...conf.request, validAttachments: parseValidAttachments(conf) }
    }
    case 'STATUS':
      return { command, ...parseConf(command, stdin).request }
  }
}

type Variables = ReadonlyMap<string, string>

/** Of a variable that is there twice the last one counts: libcni appends its own to the runtime's environment. */
function split(body: Buffer): { variables: Variables; stdin: Buffer } {
  const variables = new Map<string, string>()
  for (let start = 0; ;) {
    const end = body.indexOf(0, start)
    if (end === -1)
      throw new CniError(
        cniCodes.decode,
        'the request ends within its variables; is the CNI binary of the same version as the agent?',
      )
    if (end === start) return { variables, stdin: body.subarray(end + 1) }
    const line = body.toString('utf8', start, end)
    const name = line.slice(0, Math.max(0, line.indexOf('=')))
    variables.set(name, line.slice(name.length + 1))
    start = end + 1
  }
}

/** CNI_PATH is of no use to us, but the specification wants it, and a runtime that forgets it will fail elsewhere. */
const required: Record<CniCommand, readonly string[]> = {
  ADD: ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME', 'CNI_PATH'],
  DEL: ['CNI_CONTAINERID', 'CNI_IFNAME', 'CNI_PATH'],
  CHECK: ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME', 'CNI_PATH'],
  GC: ['CNI_PATH'],
  STATUS: ['CNI_PATH'],
}

function parseCommand(variables: Variables): CniCommand {
  const given = variables.get('CNI_COMMAND') ?? ''
  const command = cniCommands.find((known) => known === given)
  if (command === undefined)
    throw new CniError(
      cniCodes.invalidEnvironment,
      `Expected CNI_COMMAND to be one of ${cniCommands.join(', ')}, got \`${given.slice(0, 80)}\``,
    )
  const missing = required[command].filter((name) => (variables.get(name) ?? '') === '')
  if (missing.length > 0)
    throw new CniError(cniCodes.invalidEnvironment, `${command} needs the environment variables ${missing.join(', ')}`)
  return command
}

function parseAttachment(variables: Variables): {
  containerId: string
  podInterface: InterfaceName
  netnsId: string | undefined
} {
  const containerId = variables.get('CNI_CONTAINERID') ?? ''
  if (containerId.length > maxContainerIdLength || !identifier.test(containerId)) {
    throw new CniError(
      cniCodes.invalidEnvironment,
      `Expected CNI_CONTAINERID to be 1 to ${maxContainerIdLength} letters, digits, dots, dashes or underscores, got \`${containerId.slice(0, 80)}\``,
    )
  }
  const podInterface = parseValue(
    parseInterfaceName,
    variables.get('CNI_IFNAME') ?? '',
    'CNI_IFNAME',
    cniCodes.invalidEnvironment,
  )
  const netnsId = variables.get('FAIRLEAD_NETNS_ID')
  return {
    containerId,
    podInterface,
    netnsId: netnsId !== undefined && /^\d{1,20}:\d{1,20}$/.test(netnsId) ? netnsId : undefined,
  }
}

function parseNetns(variables: Variables): string {
  return parseValue(safePath, variables.get('CNI_NETNS') ?? '', 'CNI_NETNS', cniCodes.invalidEnvironment)
}

function usableNetns(variables: Variables): string | undefined {
  try {
    return parseNetns(variables)
  } catch {
    return undefined
  }
}

function parseConf(command: CniCommand, stdin: Buffer): NetConf & { request: Request } {
  const conf = parseNetConf(stdin)
  requireCommand(command, conf.version)
  return { ...conf, request: { version: conf.version, network: conf.network } }
}

function parsePrevResult(conf: NetConf): CniResult | undefined {
  const json = conf.fields['prevResult']
  return json === undefined || json === null ? undefined : parseResult(json)
}
