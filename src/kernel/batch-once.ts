// Changes through one short-lived `ip -batch`, started by a shell worker and not by us: inside a pod's namespace, or
// where a session may err.
import type { Logger } from 'pino'
import { AnswerReader, barrier, batchText, failureOf, fatalFailureOf } from './batch-answers.ts'
import type { Change, Tool } from './change.ts'
import { classifyFailure } from './classify-failure.ts'
import { CommandError } from './command-error.ts'
import type { CommandObserver } from './command-observer.ts'
import type { Failure } from './kernel.ts'
import type { ShellWorkers } from './shell-workers.ts'
import { deathOf, signalOf } from './signal-death.ts'

export interface BatchOnceOptions {
  readonly workers: ShellWorkers
  /** What puts the tool into its namespace: ["nsenter", "--net=PATH"] or nothing. */
  readonly enter: readonly string[]
  readonly log: Logger
  readonly observe: CommandObserver | undefined
}

/**
 * Runs the changes, all for the same tool, and answers which of them failed.
 * @throws {CommandError} when the namespace cannot be entered (`missing`) or the tool does not end in time.
 */
export async function applyOnce(
  tool: Tool,
  changes: readonly Change[],
  options: BatchOnceOptions,
): Promise<readonly Failure[]> {
  const enter = options.enter.map((word) => `${word} `).join('')
  const command = `${enter}${tool} -force -batch -`
  const failures: Failure[] = []
  const begin = performance.now()
  // Again only after a line that ended the tool, with those behind it.
  for (let next = 0; next < changes.length;) {
    const todo = changes.slice(next)
    const result = await options.workers.run(`${command} >/dev/null <<'END'\n${barrier}${batchText(todo)}END`)
    const reader = new AnswerReader()
    const [start, ...answers] = reader.read(result.stderr)
    if (result.status === undefined)
      throw new CommandError({ kind: result.timedOut ? 'timeout' : 'killed', command, stderr: reader.rest })
    const signal = signalOf(result.status)
    const death = signal === undefined ? undefined : deathOf(signal, reader.rest)
    if (start === undefined && death !== undefined) throw new CommandError({ kind: 'killed', command, stderr: death })
    if (start === undefined)
      throw new CommandError({ kind: classifyFailure(reader.rest), command, stderr: reader.rest })
    for (const [i, change] of todo.entries()) {
      const answer = answers[i]
      if (answer === undefined) {
        failures.push(
          death === undefined ? fatalFailureOf(change, enter, reader.rest) : failureOf(change, enter, death, 'killed'),
        )
        next += 1
        break
      }
      next += 1
      if (!answer.ok) failures.push(failureOf(change, enter, answer.said))
      else if (options.log.isLevelEnabled('debug')) options.log.debug(`${enter}${tool} ${change.line}`)
    }
  }
  options.observe?.command(tool, (performance.now() - begin) / 1000, failures.length === 0)
  options.observe?.lines(tool, changes.length)
  return failures
}
