// Commands that a shell worker runs for us, with the errors and counts of any other command.
import { classifyFailure } from './classify-failure.ts'
import { CommandError, type FailureKind } from './command-error.ts'
import type { CommandObserver } from './command-observer.ts'
import type { ShellResult, ShellWorkers } from './shell-workers.ts'
import { quoteWord } from './shell-words.ts'
import { deathOf, signalOf } from './signal-death.ts'

export interface ShellCommandOptions {
  /** What puts the command into its namespace: ["nsenter", "--net=PATH"] or nothing. */
  readonly enter: readonly string[]
  readonly observe?: CommandObserver | undefined
  /** ms; 10 s where not given. */
  readonly timeout?: number
  /** What the command reads from stdin; nothing where not given. */
  readonly input?: string
  /** Variables for the command, beside the agent's own. */
  readonly environment?: Readonly<Record<string, string>>
  /** Kinds of failure that count as success here. */
  readonly accept?: readonly FailureKind[]
  /** Receives what the command prints, a line at a time, for output too large to keep: stdout is empty then. */
  readonly lines?: (line: string) => void
}

/** ms. */
const ordinaryTimeout = 10_000

/** Ends a here-document: as a line of its own it stands in no text that we write. */
const inputEnd = 'FAIRLEAD_END_OF_INPUT'

/** Answers what the command printed. @throws {CommandError} */
export async function runInShell(
  workers: ShellWorkers,
  words: readonly string[],
  options: ShellCommandOptions,
): Promise<{ stdout: string; stderr: string }> {
  const command = [...options.enter, ...words].map(quoteWord).join(' ')
  const variables = Object.entries(options.environment ?? {}).map(([name, value]) => `${name}=${quoteWord(value)} `)
  const begin = performance.now()
  const script =
    options.input === undefined
      ? `${variables.join('')}${command} </dev/null`
      : `${variables.join('')}${command} <<'${inputEnd}'\n${wholeLines(options.input)}${inputEnd}`
  const { timeout = ordinaryTimeout, lines } = options
  const result = await workers.run(script, { timeout, lines })
  const kind = failureKind(result)
  const ok = kind === undefined || (options.accept ?? []).includes(kind)
  options.observe?.command(words[0] ?? '', (performance.now() - begin) / 1000, ok)
  if (!ok)
    throw new CommandError({
      kind: kind ?? 'other',
      command,
      stderr: reasonOf(result, timeout),
    })
  return result
}

/** @throws {TypeError} for text that would end its here-document early: what follows would be run as commands. */
function wholeLines(input: string): string {
  if (`\n${input}\n`.includes(`\n${inputEnd}\n`))
    throw new TypeError(`Expected input without a line ${inputEnd}, got one`)
  return input === '' || input.endsWith('\n') ? input : `${input}\n`
}

/** A worker puts its own name and the number of the line before what it says, which is another each time. */
function withoutShell(stderr: string): string {
  return stderr.replaceAll(/^\S*sh: \d+: /gm, '')
}

/** What the command said, or else how it ended. */
function reasonOf({ status, stderr, timedOut }: ShellResult, timeout: number): string {
  const said = withoutShell(stderr.trim())
  const signal = status === undefined ? undefined : signalOf(status)
  if (signal !== undefined) return deathOf(signal, said)
  if (said !== '') return said
  if (status !== undefined) return `exit status ${status}`
  return timedOut ? `it did not end within ${timeout / 1000} s` : 'it was killed'
}

function failureKind(result: ShellResult): FailureKind | undefined {
  if (result.status === 0) return undefined
  if (result.status === undefined) return result.timedOut ? 'timeout' : 'killed'
  if (signalOf(result.status) !== undefined) return 'killed'
  // What sh itself says of a program that it cannot find.
  return result.status === 127 ? 'not-installed' : classifyFailure(result.stderr)
}
