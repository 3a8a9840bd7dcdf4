// `npm run bench -- cni|overlay|policy|services [--json FILE]`: our numbers beside a peer's from the same run, interleaved, as medians.
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import type { BenchRow } from './bench-row.ts'
import { insidePrivateMachine } from './private-machine.ts'

const benches: Record<string, () => Promise<readonly BenchRow[]>> = {
  cni: async () => (await import('./cni.ts')).cniBench(),
  overlay: async () => (await import('./overlay.ts')).overlayBench(),
  policy: async () => (await import('./policy.ts')).policyBench(),
  services: async () => (await import('./services.ts')).servicesBench(),
}

const { values, positionals } = parseArgs({ options: { json: { type: 'string' } }, allowPositionals: true })
const chosen = positionals.length === 0 ? Object.keys(benches) : positionals
const unknown = chosen.find((name) => benches[name] === undefined)
if (unknown !== undefined || process.getuid?.() !== 0) {
  console.error(unknown === undefined ? 'bench: needs root, for network namespaces of its own' : `bench: unknown \`${unknown}\`; known are ${Object.keys(benches).join(', ')}`)
  process.exit(2)
}

if (insidePrivateMachine(import.meta.filename, process.argv.slice(2))) await run()

async function run(): Promise<void> {
  const rows: BenchRow[] = []
  for (const name of chosen) {
    const measured = (await benches[name]?.()) ?? []
    rows.push(...measured)
    console.log(`\n${name}`)
    console.table(measured.map(present))
  }
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(rows, undefined, 2)}\n`)
}

function present({ name, ours, peer, unit, ratio, budget, runs }: BenchRow): Record<string, string | number> {
  const number = (value: number | null, digits = 2): string => (value === null ? '' : value.toFixed(digits))
  const verdict = ratio === null || budget === null ? '' : ratio <= budget ? 'within' : 'OVER'
  return { what: name, ours: `${number(ours)} ${unit}`, peer: peer === null ? '' : `${number(peer)} ${unit}`, ratio: number(ratio), budget: number(budget), verdict, runs }
}
