// Programs of the tests that bring the API server or its client: bundled once a run, since from source each of a
// hundred starts would load a thousand files of a library.
import { rmSync } from 'node:fs'
import { basename, join } from 'node:path'
import { build } from 'esbuild'

const sources = ['netns/machine-api-process.ts', 'policy/lab-api-process.ts']
/** None of FAIRLEAD_*: these are options of the commands that tests run. */
const variable = (source: string): string => `TEST_PROGRAM_${basename(source, '.ts')}`

/** Called by vitest before the kernel tests; what it answers, after them. */
export async function setup(): Promise<() => void> {
  // Beside the product's bundle, from where the server finds deploy/.
  const bundles = sources.map((source) => ({
    source,
    path: join(import.meta.dirname, `../dist/test-${process.pid}-${basename(source, '.ts')}.mjs`),
  }))
  for (const { source, path } of bundles) {
    await build({
      entryPoints: [join(import.meta.dirname, source)],
      outfile: path,
      bundle: true,
      minifySyntax: true,
      minifyWhitespace: true,
      platform: 'node',
      target: 'node24',
      format: 'esm',
      // CommonJS packages inside the bundle still call require for Node's own modules.
      banner: { js: "import { createRequire as __cr } from 'node:module'; const require = __cr(import.meta.url);" },
    })
    process.env[variable(source)] = path
  }
  return () => {
    for (const { path } of bundles) rmSync(path)
  }
}

/** The path of a program of the tests to start with Node: its bundle, or itself outside a run of the tests. */
export function testProgram(source: string): string {
  return process.env[variable(source)] ?? join(import.meta.dirname, source)
}
