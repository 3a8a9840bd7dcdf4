// Bundles the program into dist/. Splitting keeps what `agent` loads small: the lab and the
// command line's other branches are chunks of their own, loaded only by the command that needs them.
import { execFileSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { build, type Plugin } from 'esbuild'

const root = import.meta.dirname
const commit = describeCommit()

/**
 * An import of node:http asks for all that it exports, WebSocket among them, and that loads a second HTTP client: of
 * 0.1 s of each start a tenth is left without it. What our code imports by name has to stand here; esbuild says what is
 * missing.
 */
const slimHttp: Plugin = {
  name: 'slim-http',
  setup(bundler) {
    bundler.onResolve({ filter: /^(?:node:)?http$/ }, ({ importer, path }) =>
      importer.startsWith(`${root}/src/`) ? { path, namespace: 'slim-http' } : { path, external: true },
    )
    bundler.onLoad({ filter: /./, namespace: 'slim-http' }, () => ({
      contents:
        "const http = process.getBuiltinModule('node:http'); export const { createServer, request } = http; export default http",
    }))
  },
}

rmSync(`${root}/dist`, { recursive: true, force: true })
await build({
  entryPoints: { fairlead: `${root}/cmd/fairlead/main.ts`, echo: `${root}/src/lab/echo.ts` },
  outdir: `${root}/dist`,
  outExtension: { '.js': '.mjs' },
  bundle: true,
  splitting: true,
  minifySyntax: true,
  minifyWhitespace: true,
  sourcemap: 'linked',
  sourcesContent: false,
  platform: 'node',
  target: 'node24',
  format: 'esm',
  legalComments: 'none',
  plugins: [slimHttp],
  define: { __COMMIT__: JSON.stringify(commit) },
  // CommonJS packages inside the bundle still call require for Node's own modules.
  banner: { js: "import { createRequire as __cr } from 'node:module'; const require = __cr(import.meta.url);" },
})
for (const name of ['fairlead-cni', 'rules-stamp', 'nft-tables']) compile(name, name, '-static')
// Linked to no library, so that it fits the nft of whichever system the agent runs on.
compile('nft-view', 'nft-view.so', '-shared', '-fPIC', '-nostdlib', '-fvisibility=hidden')
/**
 * Compiles cmd/SOURCE/main.c to dist/OUTPUT. Another architecture's image brings a compiler of its own.
 * @param how the flags that decide what is linked
 */
function compile(source: string, output: string, ...how: readonly string[]): void {
  const flags = ['-std=c11', '-Os', '-s', '-Wall', '-Wextra', '-Werror', ...how]
  execFileSync(
    process.env['MUSL_GCC'] ?? 'musl-gcc',
    [...flags, '-o', `${root}/dist/${output}`, `${root}/cmd/${source}/main.c`],
    { stdio: 'inherit' },
  )
}

/** Where the image is built there is no repository: its recipe is told. */
function describeCommit(): string {
  const told = process.env['COMMIT']
  if (told) return told
  try {
    return execFileSync('git', ['-C', root, 'describe', '--always', '--dirty'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim()
  } catch {
    return 'unknown'
  }
}
