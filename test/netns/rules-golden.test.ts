// The golden files are what a real iptables-restore takes, and prints back word for word, on both backends.
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { desiredRules } from '../../src/pods/rules/desired.ts'
import { diffChains, diffJumps, restoreText } from '../../src/pods/rules/diff.ts'
import { observeChains } from '../../src/pods/rules/observe.ts'
import { examples } from '../../src/pods/rules/rule-inputs.ts'
import { baseChains, noRules, ourChains } from '../../src/pods/rules/rule-set.ts'
import { Spellings } from '../../src/pods/rules/spellings.ts'
import { describeKernel, scratchNamespace } from './scratch.ts'

describeKernel('golden rules', () => {
  test.each(
    Object.entries(examples).flatMap(([name, input]) =>
      (['nft', 'legacy'] as const).map((backend) => ({ name, input, backend })),
    ),
  )('$name on $backend', async ({ name, input, backend }) => {
    await using ns = await scratchNamespace({ iptables: backend })
    const golden = readFileSync(new URL(`../../src/pods/rules/golden/${name}.rules`, import.meta.url), 'utf8')
    await ns.iptables.restore(input.family, golden)

    const observed = await observeChains(ns.iptables, input.family, [...baseChains, ...ourChains])
    const desired = desiredRules(input)
    for (const { table, name: chain, rules } of desired.chains) expect(observed.get(`${table} ${chain}`)).toEqual(rules)
    for (const { table, base, rule } of desired.jumps) expect(observed.get(`${table} ${base}`)).toContain(rule)

    await ns.iptables.restore(
      input.family,
      restoreText([
        ...diffChains(noRules, observed, new Spellings()),
        ...diffJumps(noRules, observed, new Spellings()),
      ]),
    )
    const left = await observeChains(ns.iptables, input.family, [...baseChains, ...ourChains])
    expect([...left.entries()]).toEqual(baseChains.map(({ table, name: chain }) => [`${table} ${chain}`, []]))
  })
})
