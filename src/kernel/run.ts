// One program, run once to its end. For what a session or a shell worker cannot do: large input, and what happens
// rarely.
import { execa } from 'execa'
import { classifyFailure } from './classify-failure.ts'
import { CommandError, type FailureKind } from './command-error.ts'
import { goneProgram, programEnvironment, programPath, startChild, whenEnded } from './programs.ts'
import { quoteWord } from './shell-words.ts'
import { deathOf } from './signal-death.ts'

export interface RunOptions {
  readonly input?: string
  /** Variables for the program, beside the agent's own. */
  readonly environment?: Readonly<Record<string, string>>
  /** ms; 10 s where not given. */
  readonly timeout?: number
  /** Kinds of failure that count as success here. */
  readonly accept?: readonly FailureKind[]
}

export interface RunResult {
  readonly stdout: string
  readonly stderr: string
}

/** @throws {CommandError} when the program is missing, fails or takes too long. */
export async function runProgram(
  program: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<RunResult> {
  const command = [program, ...args].map(quoteWord).join(' ')
  const { input = '', environment = {}, timeout = 10_000, accept = [] } = options
  const result = await execa(programPath(program), args, {
    input,
    timeout,
    reject: false,
    env: { ...programEnvironment, ...environment },
    extendEnv: false,
  })
  if (!result.failed) return { stdout: result.stdout, stderr: result.stderr }
  const gone = goneProgram(program, result)
  if (gone !== undefined) throw new CommandError({ kind: 'not-installed', command, stderr: gone })
  if (!result.timedOut && result.signal !== undefined)
    throw new CommandError({ kind: 'killed', command, stderr: deathOf(result.signal, result.stderr) })
  const kind = result.timedOut ? 'timeout' : classifyFailure(result.stderr)
  if (accept.includes(kind)) return { stdout: result.stdout, stderr: result.stderr }
  throw new CommandError({ kind, command, stderr: result.stderr.trim() || (result.shortMessage ?? '') })
}

/**
 * Runs a program to its end and hands over its stdout a line at a time, so that nobody holds all of a large output.
 * @throws {CommandError}
 */
export async function streamProgram(words: readonly string[], seen: (line: string) => void): Promise<void> {
  const [program = '', ...args] = words
  const child = startChild(program, args, ['ignore', 'pipe', 'pipe'])
  let tail = ''
  let said = ''
  child.stdout?.setEncoding('utf8').on('data', (piece: string) => {
    const lines = (tail + piece).split('\n')
    tail = lines.pop() ?? ''
    for (const line of lines) seen(line)
  })
  child.stderr?.setEncoding('utf8').on('data', (piece: string) => (said += piece))
  const failedStart = await new Promise<NodeJS.ErrnoException | undefined>((resolve) => whenEnded(child, resolve))
  if (failedStart === undefined && child.exitCode === 0) {
    if (tail !== '') seen(tail)
    return
  }
  const command = words.join(' ')
  const gone = goneProgram(program, failedStart)
  if (gone !== undefined) throw new CommandError({ kind: 'not-installed', command, stderr: gone })
  if (child.signalCode !== null)
    throw new CommandError({ kind: 'killed', command, stderr: deathOf(child.signalCode, said) })
  const stderr = said.trim() || failedStart?.message || `exit status ${child.exitCode}`
  throw new CommandError({ kind: classifyFailure(stderr), command, stderr })
}
