// What every Iptables does alike: the fake, iptables-nft and iptables-legacy. A test that passes on the fake because the
// fake is kinder than iptables would show here.
import { expect, test } from 'vitest'
import { FamilyTables } from '../../src/iptables/family-tables.ts'
import type { Iptables, IptablesTable } from '../../src/iptables/iptables.ts'
import type { Jump } from '../../src/iptables/jumps.ts'
import {
  accept,
  chance,
  comment,
  dnat,
  drop,
  from,
  fromDevice,
  fromLocal,
  goTo,
  isRemembered,
  jump,
  markIs,
  masquerade,
  moduleOf,
  not,
  protocolIs,
  reject,
  remember,
  returns,
  setMark,
  stateIs,
  to,
  toLocal,
  toPort,
} from '../../src/iptables/matches.ts'
import type { RulesOwner } from '../../src/iptables/owner.ts'
import { parseRule, ruleTexts } from '../../src/iptables/parse-rule.ts'
import { restoreText } from '../../src/iptables/restore-text.ts'
import { formatRule, type Rule, rule } from '../../src/iptables/rule.ts'
import { CommandError } from '../../src/kernel/command-error.ts'
import { type Family, parseAddress } from '../../src/net/address.ts'
import { parseCidr } from '../../src/net/cidr.ts'
import { testLog } from '../netns/scratch.ts'

/** An Iptables without any rules, and a way to change rules as another program does. */
export interface ConformanceBed extends AsyncDisposable {
  readonly iptables: Iptables
  /** Replaces the rules of a chain; undefined: removes it. */
  change(family: Family, table: IptablesTable, chain: string, rules: readonly string[] | undefined): Promise<void>
}

const families = [4, 6] as const

/** Declares the suite. @param open makes a bed for one test */
export function iptablesConformance(open: () => Promise<ConformanceBed>): void {
  test.each(families)('IPv%i: applies each table whole or not at all, and quotes the line at fault', async (family) => {
    await using bed = await open()
    const { iptables } = bed
    const good = restoreText([{ table: 'nat', declare: ['ONE'], lines: ['-A ONE -j RETURN'] }])
    const bad = restoreText([
      { table: 'filter', declare: ['FIRST'], lines: ['-A FIRST -j ACCEPT'] },
      { table: 'nat', declare: ['ONE'], lines: ['-A ONE -j ACCEPT', '-A MISSING -j ACCEPT'] },
    ])
    expect(await iptables.rulesOf(family, 'nat', 'ONE')).toBeUndefined()
    await iptables.restore(family, good)
    await expect(iptables.restore(family, bad)).rejects.toMatchObject({
      name: 'CommandError',
      stderr: expect.stringContaining('-A MISSING -j ACCEPT'),
    })
    expect(await iptables.rulesOf(family, 'nat', 'ONE')).toEqual(['-N ONE', '-A ONE -j RETURN'])
    expect(await iptables.rulesOf(family, 'filter', 'FIRST')).toEqual(['-N FIRST', '-A FIRST -j ACCEPT'])
  })

  test('a chain that is declared again is emptied, all others stay, and built-in ones exist', async () => {
    await using bed = await open()
    const { iptables } = bed
    const lines = ['-A ONE -j RETURN', '-A TWO -j ONE']
    await iptables.restore(4, restoreText([{ table: 'nat', declare: ['ONE', 'TWO'], lines }]))
    await iptables.restore(4, restoreText([{ table: 'nat', declare: ['ONE'], lines: [] }]))
    expect(await readAll(iptables, 4, 'nat')).toMatchObject({ ONE: [], TWO: ['-j ONE'], OUTPUT: [] })
    expect(await iptables.rulesOf(4, 'nat', 'OUTPUT')).toEqual(['-P OUTPUT ACCEPT'])
  })

  test('single rules are appended, inserted at a position and deleted, in the order of the lines', async () => {
    await using bed = await open()
    const { iptables } = bed
    await bed.change(4, 'filter', 'FORWARD', ['-s 10.0.0.1/32 -j ACCEPT', '-s 10.0.0.2/32 -j ACCEPT'])
    const lines = [
      '-D FORWARD -s 10.0.0.1/32 -j ACCEPT',
      '-A FORWARD -s 10.0.0.3/32 -j ACCEPT',
      '-I FORWARD 1 -s 10.0.0.4/32 -j ACCEPT',
      '-I FORWARD 2 -s 10.0.0.5/32 -j ACCEPT',
    ]
    await iptables.restore(4, restoreText([{ table: 'filter', declare: [], lines }]))
    const sources = ruleTexts((await iptables.rulesOf(4, 'filter', 'FORWARD')) ?? []).map((text) => text.slice(10, 11))
    expect(sources).toEqual(['4', '5', '2', '3'])
    for (const line of ['-I FORWARD 9 -j ACCEPT', '-D FORWARD -j DROP'])
      await expect(
        iptables.restore(4, restoreText([{ table: 'filter', declare: [], lines: [line] }])),
      ).rejects.toBeInstanceOf(CommandError)
  })

  test('a chain that a rule leads to cannot be removed, nor one that holds rules', async () => {
    await using bed = await open()
    const { iptables } = bed
    const lines = ['-A TWO -j ONE']
    await iptables.restore(4, restoreText([{ table: 'nat', declare: ['ONE', 'TWO'], lines }]))
    for (const chain of ['ONE', 'TWO'])
      await expect(
        iptables.restore(4, restoreText([{ table: 'nat', declare: [], lines: [`-X ${chain}`] }])),
      ).rejects.toBeInstanceOf(CommandError)
    const both = restoreText([{ table: 'nat', declare: ['TWO', 'ONE'], lines: ['-X ONE', '-X TWO'] }])
    await iptables.restore(4, both)
    expect(Object.keys(await readAll(iptables, 4, 'nat'))).not.toEqual(expect.arrayContaining(['ONE']))
  })

  test('one check tells whether rules of several tables are there, and changes nothing', async () => {
    await using bed = await open()
    const { iptables } = bed
    await bed.change(4, 'filter', 'FORWARD', ['-s 10.0.0.0/8 -j ACCEPT'])
    await iptables.restore(4, restoreText([{ table: 'nat', declare: ['ONE'], lines: ['-A ONE -j RETURN'] }]))
    const rules = [
      { table: 'nat', rule: '-A ONE -j RETURN' },
      { table: 'filter', rule: '-A FORWARD -s 10.0.0.0/8 -j ACCEPT' },
    ] as const
    expect(await iptables.hasRules(4, rules)).toBe(true)
    expect(await iptables.hasRules(4, [...rules, { table: 'nat', rule: '-A GONE -j RETURN' }])).toBe(false)
    await bed.change(4, 'filter', 'FORWARD', ['-s 10.0.0.0/8 -j DROP'])
    expect(await iptables.hasRules(4, rules)).toBe(false)
    expect(await iptables.hasRules(4, rules.slice(0, 1))).toBe(true)
    expect(await iptables.rulesOf(4, 'nat', 'GONE')).toBeUndefined()
  })

  test('foreign writes are counted, ours are not', async () => {
    await using bed = await open()
    const { iptables } = bed
    await bed.change(4, 'filter', 'FORWARD', ['-j ACCEPT'])
    const before = Number(await iptables.foreignWrites())
    await iptables.restore(4, restoreText([{ table: 'nat', declare: ['ONE'], lines: ['-A ONE -j RETURN'] }]))
    expect(await iptables.foreignWrites()).toBe(before)
    await bed.change(4, 'filter', 'FORWARD', [])
    expect(await iptables.foreignWrites()).toBeGreaterThan(before)
  })

  test.each(families)('IPv%i: every match and target of ours is printed as we write it', async (family) => {
    await using bed = await open()
    const { iptables } = bed
    const rules = everything(family)
    for (const table of ['nat', 'filter'] as const) {
      const own = rules[table]
      await iptables.restore(
        family,
        restoreText([{ table, declare: ['LEAF', 'ALL'], lines: own.map((each) => `-A ALL ${formatRule(each)}`) }]),
      )
      const printed = ruleTexts((await iptables.rulesOf(family, table, 'ALL')) ?? [])
      expect(printed).toEqual(own.map(formatRule))
      expect(printed.map(parseRule)).toEqual(own)
    }
  })

  engineConformance(open)
}

/** The engine on top: FamilyTables writes what differs, and finds and repairs drift. */
function engineConformance(open: () => Promise<ConformanceBed>): void {
  test('writes what is wanted, then nothing, and removes what is not wanted any more', async () => {
    await using bed = await open()
    const tables = tablesOf(bed)
    const written = await tables.sync(nothing)
    expect(written).toMatchObject({ chains: 5 })
    expect(await state(bed)).toEqual(whole)
    expect(await tables.sync(nothing)).toMatchObject({ restores: 0 })
    tables.want('nat', [['OURS-SEQUENCE', []]])
    tables.unwant('nat', ['OURS-LEAF'])
    expect(await tables.sync(nothing)).toMatchObject({ chains: 2 })
    const { nat } = await state(bed)
    expect([nat['OURS-SEQUENCE'], nat['OURS-LEAF']]).toEqual([[], undefined])
  })

  test('a second engine adopts what the first wrote, and writes nothing', async () => {
    await using bed = await open()
    await tablesOf(bed).sync(nothing)
    expect(await tablesOf(bed).sync(nothing)).toMatchObject({ restores: 0 })
  })

  test.each<[string, (bed: ConformanceBed) => Promise<void>, boolean]>([
    ['a chain that was emptied', async (bed) => bed.change(4, 'nat', 'OURS-SEQUENCE', []), false],
    ['a rule that was added', async (bed) => bed.change(4, 'nat', 'OURS-LEAF', ['-j RETURN', '-j RETURN']), true],
    ['a chain of single rules that lost one', async (bed) => bed.change(4, 'nat', 'OURS-SET', [setRule(1)]), false],
    ['jumps that were flushed', async (bed) => bed.change(4, 'nat', 'OUTPUT', []), false],
    [
      'a jump that is doubled',
      async (bed) => bed.change(4, 'nat', 'OUTPUT', ['-j OURS-SEQUENCE', '-j OURS-SEQUENCE']),
      true,
    ],
  ])('repairs %s, and names it', async (_, damage, passesProbe) => {
    await using bed = await open()
    const tables = tablesOf(bed)
    await tables.sync(nothing)
    expect(await tables.probe()).toBe(true)
    await damage(bed)
    expect(await tables.probe()).toBe(passesProbe)
    const { repaired } = await tables.audit(nothing)
    expect(repaired).toHaveLength(1)
    expect(await state(bed)).toEqual(whole)
    expect(await tables.probe()).toBe(true)
    expect(await tables.audit(nothing)).toMatchObject({ repaired: [], written: { restores: 0 } })
  })

  test('chains of a set are written by single rules, and a shared chain keeps what others put there', async () => {
    await using bed = await open()
    await bed.change(4, 'filter', 'SHARED', ['-s 10.0.0.9/32 -j DROP'])
    const tables = tablesOf(bed)
    await tables.sync(nothing)
    await bed.change(4, 'filter', 'SHARED', ['-s 10.0.0.9/32 -j DROP'])
    await tables.audit(nothing)
    expect((await state(bed)).filter['SHARED']).toEqual(['-s 10.0.0.9/32 -j DROP', '-j RETURN'])
    tables.want('nat', [['OURS-SET', [setRule(2), setRule(3)].map(parseRule)]])
    await tables.sync(nothing)
    expect((await state(bed)).nat['OURS-SET']?.toSorted()).toEqual([setRule(2), setRule(3)])
    await tables.clean()
    expect((await state(bed)).filter['SHARED']).toEqual(['-s 10.0.0.9/32 -j DROP', '-j RETURN'])
  })

  test('jumps stand behind those of another program, also where these come later', async () => {
    await using bed = await open()
    const tables = tablesOf(bed)
    await bed.change(4, 'nat', 'THEIRS', [])
    await bed.change(4, 'nat', 'OUTPUT', ['-d 10.0.0.1/32 -j ACCEPT'])
    await tables.sync(nothing)
    await bed.change(4, 'nat', 'OUTPUT', ['-j OURS-SEQUENCE', '-d 10.0.0.1/32 -j ACCEPT', '-j THEIRS'])
    expect(await tables.audit(nothing)).toMatchObject({ repaired: ['nat OUTPUT > OURS-SEQUENCE'] })
    expect((await state(bed)).nat['OUTPUT']).toEqual(['-d 10.0.0.1/32 -j ACCEPT', '-j THEIRS', '-j OURS-SEQUENCE'])
  })

  test('clean removes every chain and jump of the owner, also those of an earlier engine, and nothing else', async () => {
    await using bed = await open()
    await bed.change(4, 'nat', 'THEIRS', ['-j ACCEPT'])
    await bed.change(4, 'nat', 'OUTPUT', ['-j THEIRS'])
    await tablesOf(bed).sync(nothing)
    const fresh = new FamilyTables({ family: 4, owner, iptables: bed.iptables, log: testLog })
    await fresh.clean()
    const { nat } = await state(bed)
    expect(Object.keys(nat).filter((chain) => chain.startsWith('OURS-'))).toEqual([])
    expect([nat['THEIRS'], nat['OUTPUT']]).toEqual([['-j ACCEPT'], ['-j THEIRS']])
  })
}

const nothing = (): ReadonlyMap<string, readonly Rule[]> => new Map()

/** Chains OURS-*, of which OURS-SET is a set; and SHARED, which is another program's too. */
const owner: RulesOwner = {
  name: 'a test',
  tables: ['filter', 'nat'],
  bases: [{ table: 'nat', chain: 'OUTPUT' }],
  owns: (_, chain) => chain.startsWith('OURS-'),
  kindOf: (_, chain) => (chain === 'SHARED' ? 'shared' : chain === 'OURS-SET' ? 'set' : 'sequence'),
  ownsJump: (_, text) => parseRule(text).target?.name.startsWith('OURS-') === true,
  jumpsBehind: 'THEIRS',
  roots: ['OURS-SEQUENCE', 'OURS-LEAF', 'OURS-SET'].map((chain) => ({ table: 'nat', chain })),
  textTables: ['filter', 'nat'],
  filterInTwoSteps: false,
}

const setRule = (n: number): string => `-s 10.0.0.${n}/32 -j ACCEPT`
const jumps: readonly Jump[] = [{ table: 'nat', base: 'OUTPUT', rule: rule(jump('OURS-SEQUENCE')), place: 'first' }]
const whole = {
  filter: { SHARED: ['-j RETURN'] },
  nat: {
    OUTPUT: ['-j OURS-SEQUENCE'],
    'OURS-LEAF': ['-j RETURN'],
    'OURS-SEQUENCE': ['-p tcp -m tcp --dport 80 -j OURS-LEAF', '-m comment --comment "the rest" -j OURS-SET'],
    'OURS-SET': [setRule(1), setRule(2)],
  },
}

function tablesOf({ iptables }: ConformanceBed): FamilyTables {
  const tables = new FamilyTables({ family: 4, owner, iptables, log: testLog })
  for (const table of ['filter', 'nat'] as const)
    tables.want(
      table,
      Object.entries(whole[table])
        .filter(([chain]) => chain !== 'OUTPUT')
        .map(([chain, texts]) => [chain, texts.map(parseRule)] as const),
    )
  tables.want('filter', [['OURS-EMPTY', []]])
  tables.wantJumps(jumps)
  return tables
}

/** The chains of both tables, without built-in ones that are empty and without OURS-EMPTY. */
async function state(bed: ConformanceBed): Promise<Record<'filter' | 'nat', Record<string, string[]>>> {
  const of = async (table: IptablesTable): Promise<Record<string, string[]>> =>
    Object.fromEntries(
      Object.entries(await readAll(bed.iptables, 4, table)).filter(
        ([chain, rules]) =>
          chain !== 'OURS-EMPTY' && (rules.length > 0 || !/^[A-Z]+$/.test(chain) || chain === 'THEIRS'),
      ),
    )
  return { filter: await of('filter'), nat: await of('nat') }
}

async function readAll(iptables: Iptables, family: Family, table: IptablesTable): Promise<Record<string, string[]>> {
  const chains: Record<string, string[]> = {}
  await iptables.readTable(family, table, (line) => {
    const [, chain = '', text] = /^(?::(\S+)|-A (\S+) (.*))/.exec(line) ?? []
    if (text === undefined && line.startsWith(':')) chains[chain] = []
    else chains[/^-A (\S+)/.exec(line)?.[1] ?? '']?.push(line.replace(/^-A \S+ /, ''))
  })
  return chains
}

/** Rules with every match and target that the rooms use. */
function everything(family: Family): Record<'nat' | 'filter', readonly Rule[]> {
  const [address, block, endpoint] =
    family === 4
      ? ([parseAddress('10.96.0.9'), parseCidr('10.244.0.0/16'), '10.244.1.5:8080'] as const)
      : ([parseAddress('fd00:96::9'), parseCidr('fd00:244::/64'), '[fd00:244:1::5]:8080'] as const)
  const protocols = ['tcp', 'udp', 'sctp'] as const
  return {
    nat: [
      rule(jump('LEAF')),
      rule(goTo('LEAF')),
      rule(from(address), jump('LEAF')),
      rule(
        not(from(block)),
        to(address),
        protocolIs('tcp'),
        comment('ns/svc:http cluster IP'),
        toPort('tcp', 80),
        returns,
      ),
      rule(not(to(block)), comment('plain'), toLocal(), jump('LEAF')),
      rule(fromDevice('cni0'), comment('it is "quoted"'), fromLocal(), jump('LEAF')),
      rule(to(block), not(fromDevice('veth+')), jump('LEAF')),
      ...protocols.map((protocol) => rule(protocolIs(protocol), toPort(protocol, 4096, 8191), goTo('LEAF'))),
      ...protocols.map((protocol) => rule(protocolIs(protocol), moduleOf(protocol), dnat(endpoint))),
      ...[3, 7, 64, 1000].map((whole) => rule(comment('ns/svc -> x'), chance(1, whole), jump('LEAF'))),
      rule(protocolIs('tcp'), comment('x'), remember('LIST', family), moduleOf('tcp'), dnat(endpoint)),
      rule(comment('x'), isRemembered('LIST', 10_800, family), jump('LEAF')),
      rule(not(markIs('0x4000/0x4000')), returns),
      rule(setMark('0x4000/0x4000')),
      rule(setMark('0x4000/0x0')),
      rule(setMark('0x0/0x2000')),
      rule(comment('requiring SNAT'), masquerade),
      rule(comment('counts only')),
    ],
    filter: [
      rule(stateIs('INVALID'), drop),
      rule(comment('forwarding'), markIs('0x4000/0x4000'), accept),
      rule(comment('forwarding conntrack'), stateIs('RELATED', 'ESTABLISHED'), accept),
      rule(to(address), protocolIs('udp'), comment('has no endpoints'), toPort('udp', 53), reject(family)),
      rule(comment('local'), not(stateIs('RELATED', 'ESTABLISHED', 'DNAT')), drop),
    ],
  }
}
