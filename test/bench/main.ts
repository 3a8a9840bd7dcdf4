// `npm run bench -- cni|overlay|policy|services [--json FILE]`: our numbers beside a peer's from the same run,
//   interleaved, as medians.
//
// `services` takes half an hour; `--services 100,1000 --cold 1000 --agent 1000` gives a first idea in a few minutes.
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import type { BenchRow } from './bench-row.ts'
import { insidePrivateMachine } from './private-machine.ts'

const benches: Record<string, () => Promise<readonly BenchRow[]>> = {
  cni: async () => (await import('./cni.ts')).cniBench(),
  overlay: async () => (await import('./overlay.ts')).overlayBench(),
  policy: async () => (await import('./policy.ts')).policyBench(),
  services: async () =>
    (await import('./services.ts')).servicesBench({
      sizes: numbers(values.services),
      cold: numbers(values.cold),
      agent: numbers(values.agent),
    }),
}

const { values, positionals } = parseArgs({
  options: {
    json: { type: 'string' },
    /** Numbers of Services that are compared with kube-proxy's layout; above 10,000 ours alone, on nft. */
    services: { type: 'string', default: '100,1000,10000,30000' },
    /** Those that are loaded from nothing, beside one restore of the same rules, which takes a minute with 5,000. */
    cold: { type: 'string', default: '2000,5000' },
    /** Those that a real agent is fed with, beside 1,000 Nodes. */
    agent: { type: 'string', default: '10000' },
  },
  allowPositionals: true,
})
const chosen = positionals.length === 0 ? Object.keys(benches) : positionals
const unknown = chosen.find((name) => benches[name] === undefined)
if (unknown !== undefined || process.getuid?.() !== 0) {
  console.error(
    unknown === undefined
      ? 'bench: needs root, for network namespaces of its own'
      : `bench: unknown \`${unknown}\`; known are ${Object.keys(benches).join(', ')}`,
  )
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

function present({ name, ours, peer, unit, ratio, budget, runs, spread }: BenchRow): Record<string, string | number> {
  const number = (value: number | null, digits = 2): string => (value === null ? '' : value.toFixed(digits))
  const range = (sample: readonly [number, number] | null | undefined): string =>
    sample === null || sample === undefined || runs === 1 ? '' : ` (${number(sample[0])}-${number(sample[1])})`
  const verdict = budget === null ? '' : (ratio ?? ours) <= budget ? 'within' : 'OVER'
  return {
    what: name,
    ours: `${number(ours)}${range(spread?.ours)} ${unit}`,
    peer: peer === null ? '' : `${number(peer)}${range(spread?.peer)} ${unit}`,
    ratio: number(ratio),
    budget: number(budget),
    verdict,
    runs,
  }
}

/** "100,1000", or "" for none. */
function numbers(text: string): number[] {
  const given = text.split(',').filter(Boolean).map(Number)
  if (given.some((each) => !Number.isInteger(each) || each < 1))
    throw new TypeError(`Expected whole numbers with commas between them, got \`${text}\``)
  return given
}
