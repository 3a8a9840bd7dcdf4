// A whole table, a line at a time: with ten thousand Services it is 20 MB, which nobody needs to hold at once.
import { classifyFailure } from './classify-failure.ts'
import { CommandError } from './command-error.ts'
import type { IptablesBackend, IptablesTable } from './kernel.ts'
import type { Family } from '../net/address.ts'
import { goneProgram, startChild, whenEnded } from './programs.ts'

/**
 * Tells `seen` every line of `NAME-BACKEND-save -t TABLE` that declares a chain (":CHAIN ...") or is a rule ("-A CHAIN
 * ...").
 * @throws {CommandError}
 */
export async function readTableLines(options: {
  backend: IptablesBackend
  family: Family
  table: IptablesTable
  enter: readonly string[]
  seen: (line: string) => void
}): Promise<void> {
  const { backend, family, table, enter, seen } = options
  const words = [...enter, `${family === 4 ? 'iptables' : 'ip6tables'}-${backend}-save`, '-t', table]
  const [program = '', ...args] = words
  const child = startChild(program, args, ['ignore', 'pipe', 'pipe'])
  let tail = ''
  let said = ''
  child.stdout?.setEncoding('utf8').on('data', (piece: string) => {
    const lines = (tail + piece).split('\n')
    tail = lines.pop() ?? ''
    for (const line of lines) if (line.startsWith(':') || line.startsWith('-A ')) seen(line)
  })
  child.stderr?.setEncoding('utf8').on('data', (piece: string) => (said += piece))
  const failedStart = await new Promise<NodeJS.ErrnoException | undefined>((resolve) => whenEnded(child, resolve))
  if (failedStart === undefined && child.exitCode === 0) return
  const gone = goneProgram(program, failedStart)
  if (gone !== undefined) throw new CommandError({ kind: 'not-installed', command: words.join(' '), stderr: gone })
  const stderr =
    said.trim() || failedStart?.message || `ended by ${child.signalCode ?? `exit status ${child.exitCode}`}`
  throw new CommandError({ kind: classifyFailure(stderr), command: words.join(' '), stderr })
}
