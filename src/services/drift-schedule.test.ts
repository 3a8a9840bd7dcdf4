import { expect, test } from 'vitest'
import type { Audited } from '../iptables/family-tables.ts'
import { nothingWritten as written } from '../iptables/written.ts'
import { type CheckedTables, DriftSchedule } from './drift-schedule.ts'

/** Tables that take time to check, on a clock of their own; 30,000 chains are what 5,000 Services have. */
class Tables implements CheckedTables {
  now = 0
  chains = 30_000
  /** What the kernel reports of foreign writes, and whether it reports all of them. */
  writes: number | undefined = 0
  reportsAll = true
  damaged: 'nothing' | 'roots' | 'a rule' = 'nothing'
  readonly seconds = { probe: 0.4, audit: 5 }
  readonly checks: string[] = []

  size = (): number => this.chains
  foreignWrites = async (depth: 'probe' | 'audit'): Promise<number | undefined> =>
    depth === 'audit' && !this.reportsAll ? undefined : this.writes
  probe = async (): Promise<boolean> => {
    this.#check('probe')
    return this.damaged !== 'roots'
  }
  audit = async (table: string): Promise<Audited> => {
    if (table !== 'nat') return { repaired: [], stray: [], written }
    this.#check('audit')
    const repaired = this.damaged === 'nothing' ? [] : [`nat ${this.damaged}`]
    this.damaged = 'nothing'
    return { repaired, stray: [], written }
  }

  #check(depth: 'probe' | 'audit'): void {
    this.checks.push(`${depth} at ${Math.round(this.now / 1000)}`)
    this.now += this.seconds[depth] * 1000
  }
}

/** Runs what is due until then. @returns what was repaired, and when (s) */
async function until(seconds: number, audit: DriftSchedule, tables: Tables): Promise<string[]> {
  const repairs: string[] = []
  while (audit.due <= seconds * 1000) {
    tables.now = Math.max(tables.now, audit.due)
    const { repaired } = await audit.run(false)
    repairs.push(...repaired.map((what) => `${what} at ${Math.round(tables.now / 1000)}`))
  }
  tables.now = Math.max(tables.now, seconds * 1000)
  return repairs
}

test('audits once while nobody else writes, however long that takes, and checks at once after a foreign write', async () => {
  const tables = new Tables()
  const audit = new DriftSchedule({ tables, now: () => tables.now, syncCost: 1 })
  await until(3600, audit, tables)
  expect(tables.checks).toEqual(['probe at 2', 'audit at 25'])
  tables.writes = 1
  tables.damaged = 'roots'
  expect(await until(3610, audit, tables)).toEqual([expect.stringMatching(/^nat roots at 360[5-9]$/)])
})

test('a probe that a busy machine slows down does not delay the check after a foreign write', async () => {
  const tables = new Tables()
  const audit = new DriftSchedule({ tables, now: () => tables.now, syncCost: 1 })
  tables.seconds.probe = 4
  await until(30, audit, tables)
  tables.writes = 1
  tables.damaged = 'roots'
  expect(await until(40, audit, tables)).toHaveLength(1)
})

test('spends a hundredth of the time on probes of large tables, and a thousandth on audits, where others write all the time', async () => {
  const tables = new Tables()
  const audit = new DriftSchedule({ tables, now: () => tables.now, syncCost: 1 })
  for (let second = 1; second <= 7200; second++) {
    tables.writes = second
    await until(second, audit, tables)
  }
  const count = (depth: string) => tables.checks.filter((look) => look.startsWith(depth)).length
  expect(count('probe')).toBeGreaterThan(100)
  expect(count('probe') * tables.seconds.probe).toBeLessThan(82)
  expect(count('audit')).toBeGreaterThan(4)
  expect(count('audit')).toBeLessThan(9)
})

test('repairs a changed rule within seconds, and spends a hundredth of the time on it where others write all the time', async () => {
  const tables = new Tables()
  Object.assign(tables, { chains: 5000, seconds: { probe: 0.01, audit: 0.2 } })
  const audit = new DriftSchedule({ tables, now: () => tables.now, syncCost: 1 })
  await until(110, audit, tables)
  tables.writes = 1
  tables.damaged = 'a rule'
  expect(await until(115, audit, tables)).toHaveLength(1)
  tables.checks.length = 0
  for (let second = 115; second < 10_115; second++) {
    tables.writes = second
    await until(second, audit, tables)
  }
  expect(tables.checks.filter((look) => look.startsWith('audit')).length * tables.seconds.audit).toBeLessThan(120)
})

test.each([
  { what: 'the kernel reports nothing', writes: undefined },
  { what: 'it does not report every rule', writes: 0 },
])('audits tables of ordinary size every 25 s where $what', async ({ writes }) => {
  const tables = new Tables()
  Object.assign(tables, { chains: 5000, writes, reportsAll: false })
  const audit = new DriftSchedule({ tables, now: () => tables.now, syncCost: 1 })
  await until(60, audit, tables)
  tables.damaged = 'a rule'
  expect(await until(95, audit, tables)).toEqual([expect.stringMatching(/^nat a rule at (?:[78]\d|9[0-5])$/)])
})

test('repairs at once what is damaged again', async () => {
  const tables = new Tables()
  const audit = new DriftSchedule({ tables, now: () => tables.now, syncCost: 1 })
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
