// The golden files are what a real iptables-restore takes, and iptables-save prints back word for word, on both
// backends.
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { type Scenario, scenarios } from '../../src/services/scenarios.ts'
import { describeKernel, scratchNamespace } from './scratch.ts'

const loaded = Object.entries<Scenario>({ ...scenarios, 'textbook-pair': { objects: [] } }).filter(
  ([, { loads = true }]) => loads,
)

describeKernel('golden rules of services', () => {
  test.each(
    (['nft', 'legacy'] as const).flatMap((backend) =>
      loaded.map(([name, { family = 4 }]) => ({ name, backend, family })),
    ),
  )('$name on $backend', async ({ name, backend, family }) => {
    await using ns = await scratchNamespace({ iptables: backend })
    const golden = readFileSync(new URL(`../../src/services/golden/${name}.rules`, import.meta.url), 'utf8')
    await ns.iptables.restore(family, golden)
    for (const table of ['filter', 'nat']) {
      const saved = await ns.run(`${family === 4 ? 'iptables' : 'ip6tables'}-${backend}-save`, ['-t', table])
      expect(byChain(saved)).toEqual(
        byChain(golden.slice(golden.indexOf(`*${table}\n`), golden.indexOf('COMMIT', golden.indexOf(`*${table}\n`)))),
      )
    }
  })
})

/** The rules of each chain in their order, whatever the order of the chains. */
function byChain(text: string): Record<string, string[] | undefined> {
  const chains = text
    .split('\n')
    .filter((line) => line.startsWith(':KUBE-'))
    .map((line) => line.slice(1).split(' ')[0] ?? '')
  const rules = text.split('\n').filter((line) => line.startsWith('-A '))
  return {
    ...Object.fromEntries(chains.map((chain) => [chain, []])),
    ...Object.groupBy(rules, (rule) => rule.split(' ')[1] ?? ''),
  }
}
