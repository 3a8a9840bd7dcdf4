// Which route the kernel takes for a packet: its own answer, with all rules, tables and reverse path filters that it
// asks, and not what a list of routes would mean.
import * as z from 'zod'
import { type Address, canonicalAddress, familyOf } from '../net/address.ts'
import { CommandError } from './command-error.ts'
import { runProgram } from './run.ts'

export interface RouteQuestion {
  readonly destination: Address
  /** For a packet that comes in: where from, and by which device. Undefined: a process of the namespace sends it. */
  readonly arriving?: { readonly source: Address; readonly device: string }
  /** The packet's: rules may choose a routing table by it. */
  readonly mark?: number
  /** Path of another namespace than ours. */
  readonly netns?: string
}

export type RouteAnswer =
  | {
      /** "local": for this machine itself. */
      readonly type: 'unicast' | 'local' | 'broadcast' | 'multicast'
      readonly device: string
      readonly gateway: Address | undefined
      /** The address that a process here sends with, and that a masqueraded packet gets. */
      readonly source: Address | undefined
      /** The matching line of the routing table, as `ip route` prints it. */
      readonly line: string
      readonly command: string
    }
  | {
      readonly type: 'none'
      /** What the kernel says: "Network is unreachable". */
      readonly reason: string
      readonly command: string
    }

const answerShape = z.array(
  z.object({
    type: z.string().optional(),
    dev: z.string().optional(),
    gateway: z.string().optional(),
    via: z.object({ host: z.string() }).optional(),
    prefsrc: z.string().optional(),
  }),
)
const types = ['unicast', 'local', 'broadcast', 'multicast'] as const

/** `ip route get`. @throws {CommandError} where ip itself cannot be asked */
export async function lookUpRoute(question: RouteQuestion): Promise<RouteAnswer> {
  const [words, command] = [routeWords(question), routeCommand(question)]
  try {
    const [{ stdout }, matching] = await Promise.all([
      run(question, ['-j', ...words]),
      run(question, [...words.slice(0, 3), 'fibmatch', ...words.slice(3)]),
    ])
    return parseRouteAnswer(stdout, matching.stdout, command)
  } catch (error) {
    const reason = error instanceof CommandError ? /RTNETLINK answers: (.*)/.exec(error.stderr)?.[1] : undefined
    if (reason === undefined) throw error
    return { type: 'none', reason, command }
  }
}

/** @param json of `ip -j route get`. @param matching of `ip route get fibmatch` */
export function parseRouteAnswer(json: string, matching: string, command: string): RouteAnswer {
  const [answer] = answerShape.parse(JSON.parse(json))
  const type = types.find((each) => each === (answer?.type ?? 'unicast'))
  if (answer === undefined || type === undefined)
    return { type: 'none', reason: `the route is of type ${answer?.type}: ${matching.trim()}`, command }
  return {
    type,
    device: answer.dev ?? 'lo',
    gateway: canonicalAddress(answer.gateway ?? answer.via?.host ?? ''),
    source: canonicalAddress(answer.prefsrc ?? ''),
    line: matching.trim().replaceAll(/\s+/g, ' '),
    command,
  }
}

/** For people. */
export function routeCommand(question: RouteQuestion): string {
  return [...enter(question), 'ip', ...routeWords(question)].join(' ')
}

function routeWords({ destination, arriving, mark = 0 }: RouteQuestion): string[] {
  const come = arriving === undefined ? [] : ['from', arriving.source, 'iif', arriving.device]
  return [
    `-${familyOf(destination)}`,
    'route',
    'get',
    destination,
    ...come,
    ...(mark === 0 ? [] : ['mark', `0x${mark.toString(16)}`]),
  ]
}

async function run(question: RouteQuestion, words: readonly string[]): Promise<{ stdout: string }> {
  const [program = '', ...args] = [...enter(question), 'ip', ...words]
  return runProgram(program, args)
}

function enter({ netns }: RouteQuestion): string[] {
  return netns === undefined ? [] : ['nsenter', `--net=${netns}`]
}
