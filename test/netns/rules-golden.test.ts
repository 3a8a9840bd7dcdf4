// The golden files are what a real iptables-restore takes, and prints back word for word, on both backends.
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { FamilyTables } from '../../src/iptables/family-tables.ts'
import type { Place } from '../../src/iptables/owner.ts'
import { ruleTexts } from '../../src/iptables/parse-rule.ts'
import { formatRule } from '../../src/iptables/rule.ts'
import { desiredRules } from '../../src/pods/rules/desired.ts'
import { podRulesOwner } from '../../src/pods/rules/owner.ts'
import { examples } from '../../src/pods/rules/rule-inputs.ts'
import { describeKernel, scratchNamespace, testLog } from './scratch.ts'

describeKernel('golden rules', () => {
  test.each(
    Object.entries(examples).flatMap(([name, input]) =>
      (['nft', 'legacy'] as const).map((backend) => ({ name, input, backend })),
    ),
  )('$name on $backend', async ({ name, input, backend }) => {
    await using ns = await scratchNamespace({ iptables: backend })
    const golden = readFileSync(new URL(`../../src/pods/rules/golden/${name}.rules`, import.meta.url), 'utf8')
    await ns.iptables.restore(input.family, golden)

    const desired = desiredRules(input)
    const { chains, bases } = podRulesOwner
    const held = async ({ table, chain }: Place): Promise<readonly string[] | undefined> => {
      const lines = await ns.iptables.rulesOf(input.family, table, chain)
      return lines && ruleTexts(lines)
    }
    for (const { table, chain, rules } of desired.chains)
      expect(await held({ table, chain })).toEqual(rules.map(formatRule))
    for (const { table, base, rule } of desired.jumps)
      expect(await held({ table, chain: base })).toContain(formatRule(rule))

    const tables = new FamilyTables({ family: input.family, owner: podRulesOwner, iptables: ns.iptables, log: testLog })
    await tables.clean()
    for (const place of chains) expect(await held(place)).toBeUndefined()
    for (const place of bases) expect(await held(place)).toEqual([])
  })
})
