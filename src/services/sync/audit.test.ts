import { expect, test } from 'vitest'
import type { Written } from './written.ts'
import { Audit, type AuditedTables } from './audit.ts'

const written: Written = {
  chains: 0,
  rules: { filter: 0, nat: 0, mangle: 0 },
  restores: 0,
  bytes: 0,
}

/** Tables that take time to look at, on a clock of their own; 30,000 chains are what 5,000 Services have. */
class Tables implements AuditedTables {
  now = 0
  chains = 30_000
  /** What the kernel tells of others' writes, and whether that is all there is. */
  writes: number | undefined = 0
  tellsAll = true
  damaged: 'nothing' | 'roots' | 'a rule' = 'nothing'
  readonly seconds = { roots: 0.4, whole: 5 }
  readonly looks: string[] = []

  size = (): number => this.chains
  foreignWrites = async (depth: 'roots' | 'whole'): Promise<number | undefined> =>
    depth === 'whole' && !this.tellsAll ? undefined : this.writes
  looksWhole = async (): Promise<boolean> => {
    this.#look('roots')
    return this.damaged !== 'roots'
  }
  audit = async (table: string): Promise<{ repaired: readonly string[]; written: Written }> => {
    if (table !== 'nat') return { repaired: [], written }
    this.#look('whole')
    const repaired = this.damaged === 'nothing' ? [] : [this.damaged]
    this.damaged = 'nothing'
    return { repaired, written }
  }

  #look(depth: 'roots' | 'whole'): void {
    this.looks.push(`${depth} at ${Math.round(this.now / 1000)}`)
    this.now += this.seconds[depth] * 1000
  }
}

/** Runs what is due until then. @returns what was repaired, and when (s) */
async function until(seconds: number, audit: Audit, tables: Tables): Promise<string[]> {
  const repairs: string[] = []
  while (audit.due <= seconds * 1000) {
    tables.now = Math.max(tables.now, audit.due)
    const { repaired } = await audit.run(false)
    repairs.push(...repaired.map((what) => `${what} at ${Math.round(tables.now / 1000)}`))
  }
  tables.now = Math.max(tables.now, seconds * 1000)
  return repairs
}

test('where nobody else writes, all is looked at once however long that takes, and the first write of another is looked after at once', async () => {
  const tables = new Tables()
  const audit = new Audit({ tables, now: () => tables.now, syncCost: 1 })
  await until(3600, audit, tables)
  expect(tables.looks).toEqual(['roots at 2', 'whole at 25'])
  tables.writes = 1
  tables.damaged = 'roots'
  expect(await until(3610, audit, tables)).toEqual([expect.stringMatching(/^nat roots at 360[5-9]$/)])
})

test('a look that a busy machine makes slow keeps nobody from looking when somebody else writes', async () => {
  const tables = new Tables()
  const audit = new Audit({ tables, now: () => tables.now, syncCost: 1 })
  tables.seconds.roots = 4
  await until(30, audit, tables)
  tables.writes = 1
  tables.damaged = 'roots'
  expect(await until(40, audit, tables)).toHaveLength(1)
})

test('where others write all the time, looks at large tables take a hundredth and a thousandth of it', async () => {
  const tables = new Tables()
  const audit = new Audit({ tables, now: () => tables.now, syncCost: 1 })
  for (let second = 1; second <= 7200; second++) {
    tables.writes = second
    await until(second, audit, tables)
  }
  const count = (depth: string) => tables.looks.filter((look) => look.startsWith(depth)).length
  expect(count('roots')).toBeGreaterThan(100)
  expect(count('roots') * tables.seconds.roots).toBeLessThan(82)
  expect(count('whole')).toBeGreaterThan(4)
  expect(count('whole')).toBeLessThan(9)
})

test('a rule that somebody has changed is back within seconds, and where others write all the time every rule is looked at for a hundredth of it', async () => {
  const tables = new Tables()
  Object.assign(tables, { chains: 5000, seconds: { roots: 0.01, whole: 0.2 } })
  const audit = new Audit({ tables, now: () => tables.now, syncCost: 1 })
  await until(110, audit, tables)
  tables.writes = 1
  tables.damaged = 'a rule'
  expect(await until(115, audit, tables)).toHaveLength(1)
  tables.looks.length = 0
  for (let second = 115; second < 10_115; second++) {
    tables.writes = second
    await until(second, audit, tables)
  }
  expect(tables.looks.filter((look) => look.startsWith('whole')).length * tables.seconds.whole).toBeLessThan(120)
})

test.each([
  { what: 'the kernel tells nothing', writes: undefined },
  { what: 'it does not tell of every rule', writes: 0 },
])('where $what, tables of ordinary size are read every 25 s', async ({ writes }) => {
  const tables = new Tables()
  Object.assign(tables, { chains: 5000, writes, tellsAll: false })
  const audit = new Audit({ tables, now: () => tables.now, syncCost: 1 })
  await until(60, audit, tables)
  tables.damaged = 'a rule'
  expect(await until(95, audit, tables)).toEqual([expect.stringMatching(/^nat a rule at (?:[78]\d|9[0-5])$/)])
})

test('what was damaged and mended is looked after at once when it is damaged again', async () => {
  const tables = new Tables()
  const audit = new Audit({ tables, now: () => tables.now, syncCost: 1 })
  await until(1000, audit, tables)
  for (const [writes, second] of [1000, 1010, 1020].entries()) {
    tables.writes = writes + 1
    tables.damaged = 'roots'
    expect([second, await until(second + 10, audit, tables)]).toEqual([
      second,
      [expect.stringMatching(/^nat roots at /)],
    ])
  }
})
