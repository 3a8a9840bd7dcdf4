// After a failed test run in CI: `node test/second-chance.ts REPORT` runs the kernel test files that failed once more,
// alone and whole, each with a state of its own. One failure in a shared machine's bad second is told apart from a
// fault in this way, and is still to be seen in the output. A unit test has no bad seconds: its failure stands.
import { existsSync, readFileSync } from 'node:fs'
import { relative } from 'node:path'
import { execa } from 'execa'
import * as z from 'zod'

/** More than this are a fault of the code. */
const mostFiles = 3

/** Of vitest's JSON reporter. */
const reportShape = z.object({ testResults: z.array(z.object({ name: z.string(), status: z.string() })) })

const [path] = process.argv.slice(2)
if (path === undefined)
  throw new TypeError("Usage: node test/second-chance.ts REPORT, with what vitest's JSON reporter wrote")
if (!existsSync(path)) process.exit(1)
const failed = reportShape
  .parse(JSON.parse(readFileSync(path, 'utf8')))
  .testResults.filter(({ status }) => status === 'failed')
  .map(({ name }) => relative(process.cwd(), name))
if (failed.length === 0 || failed.length > mostFiles || failed.some((file) => !file.startsWith('test/')))
  process.exit(1)
console.log(`\nagain, alone: ${failed.join(' ')}`)
const { exitCode } = await execa('vitest', ['run', '--project', 'netns', '--maxWorkers', '1', ...failed], {
  preferLocal: true,
  stdio: 'inherit',
  reject: false,
})
process.exit(exitCode ?? 1)
