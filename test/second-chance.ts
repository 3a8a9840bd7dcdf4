// Repeats failed kernel test files in CI, alone and whole: `node test/second-chance.ts REPORT`.
//
// A shared machine can stall for seconds, so a few failed kernel test files may run again. The output keeps a line
// `flaked: FILE` for each, so that a test that flakes often stays visible. A failed unit test fails the run at once: unit
// tests do not depend on the machine's speed.
import { existsSync, readFileSync } from 'node:fs'
import { relative } from 'node:path'
import { execa } from 'execa'
import * as z from 'zod'

/** More failed files than this are a fault of the code. */
const mostFiles = 3

/** The part of the report of vitest's JSON reporter that matters here. */
const reportShape = z.object({ testResults: z.array(z.object({ name: z.string(), status: z.string() })) })

const [path] = process.argv.slice(2)
if (path === undefined)
  throw new TypeError("Usage: node test/second-chance.ts REPORT, where REPORT is the output of vitest's JSON reporter")
// vitest did not get as far as a report, for example because a check before it failed.
if (!existsSync(path)) process.exit(1)
const failed = reportShape
  .parse(JSON.parse(readFileSync(path, 'utf8')))
  .testResults.filter(({ status }) => status === 'failed')
  .map(({ name }) => relative(process.cwd(), name))
if (failed.length === 0 || failed.length > mostFiles || failed.some((file) => !file.startsWith('test/'))) {
  console.log(`\nfailed, and no second chance: ${failed.join(' ') || 'the run itself'}`)
  process.exit(1)
}
console.log(`\nsecond chance: ${failed.join(' ')}`)
const { exitCode } = await execa('vitest', ['run', '--project', 'netns', '--maxWorkers', '1', ...failed], {
  preferLocal: true,
  stdio: 'inherit',
  reject: false,
})
for (const file of failed) console.log(`flaked: ${file}`)
process.exit(exitCode ?? 1)
