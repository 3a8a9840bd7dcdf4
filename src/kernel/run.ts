// One program, run once to its end. For what a session or a shell worker cannot do: large input, and what happens
// rarely.
import { execa } from 'execa'
import { classifyFailure } from './classify-failure.ts'
import { CommandError, type FailureKind } from './command-error.ts'
import { goneProgram, programEnvironment, programPath } from './programs.ts'
import { quoteWord } from './shell-words.ts'

export interface RunOptions {
  readonly input?: string
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
  const { input = '', timeout = 10_000, accept = [] } = options
  const result = await execa(programPath(program), args, {
    input,
    timeout,
    reject: false,
    env: programEnvironment,
    extendEnv: false,
  })
  if (!result.failed) return { stdout: result.stdout, stderr: result.stderr }
  const gone = goneProgram(program, result)
  if (gone !== undefined) throw new CommandError({ kind: 'not-installed', command, stderr: gone })
  const kind = kindOf(result.timedOut, result.isTerminated, result.stderr)
  if (accept.includes(kind)) return { stdout: result.stdout, stderr: result.stderr }
  throw new CommandError({ kind, command, stderr: result.stderr.trim() || (result.shortMessage ?? '') })
}

function kindOf(timedOut: boolean, killed: boolean, stderr: string): FailureKind {
  if (timedOut) return 'timeout'
  return killed ? 'killed' : classifyFailure(stderr)
}
