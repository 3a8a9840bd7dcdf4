// The tour on paper.
import type { Evidence } from './step.ts'

export interface Result {
  readonly title: string
  /** What was shown, or why it could not be tried. */
  readonly outcome: Evidence | Error
}

export function succeeded({ outcome }: Result): boolean {
  return !(outcome instanceof Error) && outcome.ok
}

export function renderResult(result: Result, number: number, colour: boolean): string {
  const paint = (code: number, text: string): string => (colour ? `\u001B[${code}m${text}\u001B[0m` : text)
  const heading = `${succeeded(result) ? paint(32, '✔') : paint(31, '✘')} ${number}. ${paint(1, result.title)}`
  const { outcome } = result
  if (outcome instanceof Error) return [heading, `    ${paint(31, outcome.message)}`].join('\n')
  const exhibits = outcome.exhibits.flatMap(({ where, command, lines }) => [
    `    ${paint(36, where)} $ ${command}`,
    ...(lines.length === 0 ? ['        (nothing)'] : lines.map((line) => `        ${line.trim()}`)),
  ])
  return [heading, `    tried:    ${outcome.tried}`, `    happened: ${outcome.happened}`, ...exhibits].join('\n')
}

export function renderSummary(results: readonly Result[], colour: boolean): string {
  const failed = results.filter((result) => !succeeded(result))
  const [code, text] =
    failed.length === 0
      ? [32, `all ${results.length} steps went as they should`]
      : [31, `${failed.length} of ${results.length} steps failed: ${failed.map(({ title }) => title).join('; ')}`]
  return colour ? `\u001B[${code}m${text}\u001B[0m` : text
}

export function resultAsJson({ title, outcome }: Result): object {
  return outcome instanceof Error ? { title, ok: false, error: outcome.message } : { title, ...outcome }
}
