// Small C programs of the benchmarks, compiled when first asked for.
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'

/** The path of the program made of a source file beside this one. */
export function compiled(source: string): string {
  const program = `/run/${source.replace(/\.c$/, '')}`
  if (!existsSync(program)) execFileSync('gcc', ['-O2', '-o', program, `${import.meta.dirname}/${source}`])
  return program
}
