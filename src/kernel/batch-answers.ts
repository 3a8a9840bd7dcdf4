// What `ip|bridge|tc -force -batch -` says, cut into one answer per line that it was given.
//
// A line that succeeds says nothing, one that the kernel refuses says why and `Command failed -:N`, and one that the
// tool cannot parse (or `neigh del` of nothing) ends the tool whatever -force promises. So that we always know which
// line that was, each line is followed by one that no tool knows: the barrier. Its complaint comes on the same
// unbuffered stderr, in order, and costs some microseconds.
import type { Change } from './change.ts'
import { classifyFailure } from './classify-failure.ts'
import { CommandError, type FailureKind } from './command-error.ts'
import type { Failure } from './kernel.ts'

/** Written before everything else, it proves that the tool has started. */
export const barrier = 'barrier\n'

/** The changes as a batch tool reads them. */
export function batchText(changes: readonly Change[]): string {
  return changes.map(({ line }) => `${line}\n${barrier}`).join('')
}

export interface Answer {
  readonly ok: boolean
  readonly said: string
}

/** Reads stderr as it comes, in pieces of any size. */
export class AnswerReader {
  #line = ''
  #said: string[] = []
  #failed = false
  #atBarrier = false

  /** The answers that this piece completes. */
  read(piece: string): Answer[] {
    const lines = (this.#line + piece).split('\n')
    this.#line = lines.pop() ?? ''
    return lines.flatMap((line) => this.#readLine(line) ?? [])
  }

  /** What has been said since the last answer: where the tool has ended, by the line that ended it. */
  get rest(): string {
    return [...this.#said, this.#line].join('\n').trim()
  }

  #readLine(line: string): Answer | undefined {
    const complaint = line.indexOf('Object "barrier" is unknown')
    if (complaint !== -1) {
      this.#atBarrier = true
      this.#said.push(line.slice(0, complaint))
      return undefined
    }
    // A message may lack its newline.
    const end = /Command failed -:\d+$/.exec(line)
    if (!this.#atBarrier) this.#said.push(line.slice(0, end?.index))
    if (end === null) return undefined
    if (!this.#atBarrier) {
      this.#failed = true
      return undefined
    }
    const answer = { ok: !this.#failed, said: this.#said.join('\n').trim() }
    this.#said = []
    this.#failed = false
    this.#atBarrier = false
    return answer
  }
}

/** @param enter what puts the tool into its namespace: "nsenter --net=PATH " or nothing. */
export function failureOf(
  change: Change,
  enter: string,
  said: string,
  kind: FailureKind = classifyFailure(said),
): Failure {
  return { change, error: new CommandError({ kind, command: `${enter}${change.tool} ${change.line}`, stderr: said }) }
}

/** Of a line that ended its tool: what the tool said decides, and where that is nothing known, the line was no good. */
export function fatalFailureOf(change: Change, enter: string, said: string): Failure {
  const kind = classifyFailure(said)
  return failureOf(change, enter, said, kind === 'other' ? 'usage' : kind)
}
