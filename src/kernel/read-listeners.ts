// Who listens: `ss -ln`, the sockets of a namespace that take new connections.
import { type Address, canonicalAddress } from '../net/address.ts'
import { CommandError } from './command-error.ts'
import { runProgram } from './run.ts'

export interface Listener {
  /** Undefined: on all that there are. */
  readonly address: Address | undefined
  readonly port: number
}

export interface ListenersQuestion {
  readonly protocol: 'tcp' | 'udp'
  /** Path of another namespace than ours. */
  readonly netns?: string
}

/** @returns undefined where there is no ss, or no such namespace */
export async function readListeners(question: ListenersQuestion): Promise<readonly Listener[] | undefined> {
  const [program = '', ...args] = listenersCommand(question).split(' ')
  try {
    return parseListeners((await runProgram(program, args)).stdout)
  } catch (error) {
    if (error instanceof CommandError && error.kind !== 'timeout') return undefined
    throw error
  }
}

/** For people. */
export function listenersCommand({ protocol, netns }: ListenersQuestion): string {
  return `${netns === undefined ? '' : `nsenter --net=${netns} `}ss -Hln${protocol === 'tcp' ? 't' : 'u'}`
}

/** The fourth word of a line is where the socket listens: "0.0.0.0:80", "*:80", "[::]:80", "127.0.0.1%lo:53". */
export function parseListeners(text: string): Listener[] {
  return text.split('\n').flatMap((line) => {
    const [, host = '', port = ''] = /^(.*):(\d+)$/.exec(line.split(/\s+/)[3] ?? '') ?? []
    const address = canonicalAddress(host.replaceAll(/[[\]]|%.*$/g, '').replace(/^::ffff:(?=[\d.]+$)/, ''))
    return port === ''
      ? []
      : [{ address: address === '0.0.0.0' || address === '::' ? undefined : address, port: Number(port) }]
  })
}
