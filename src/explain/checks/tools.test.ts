import { expect, test } from 'vitest'
import type { NftTable } from '../../kernel/nft-tables.ts'
import type { NftFacts, NodeFacts } from '../node-facts.ts'
import { examineNft, examineTools, isNewer } from './tools.ts'

test.each([
  [[1, 1, 7, 0], [1, 1, 3], true],
  [[1, 1, 3, 0], [1, 1, 3], false],
  [[1, 1, 3, 1], [1, 1, 3], true],
  [[1, 0, 6, 0], [1, 1, 3], false],
  [[2, 0, 0, 0], [1, 9, 9], true],
])('compares version %j with %j: %s', (madeBy, than, newer) => {
  expect(isNewer(madeBy, than)).toBe(newer)
})

const check = (nft: Partial<NftFacts> | undefined): ReturnType<typeof examineNft> =>
  examineNft({
    nft: nft && { version: [1, 0, 6], tables: [], unread: new Map(), firewalls: [], ...nft },
  } as NodeFacts)
const other: NftTable = { family: 'inet', name: 'other', madeBy: [1, 1, 7, 0] }
const old: NftTable = { family: 'ip', name: 'old' }

test('notes a newer table that can be listed, and reports one that cannot', () => {
  expect(check({ tables: [other, old] })).toMatchObject({
    findings: [],
    note: 'version 1.0.6 here is older than what made table inet other (of nft 1.1.7), and lists them',
  })
  const [finding, ...more] = check({
    tables: [other, old],
    unread: new Map([
      ['inet other', 'died of SIGSEGV'],
      ['ip old', 'died of SIGSEGV'],
    ]),
  }).findings
  expect(more).toEqual([])
  expect(finding?.problem).toBe(
    'nft 1.0.6 here cannot list table inet other (of nft 1.1.7), table ip old (died of SIGSEGV)',
  )
})

test('notes nothing when nft is as new as all tables, and skips the check without nft', () => {
  expect(check({ version: [1, 1, 7], tables: [other] })).not.toHaveProperty('note')
  expect(check(undefined)).toMatchObject({ skipped: 'nft is not installed here', findings: [] })
})

test('reports each tool that failed', () => {
  const findings = examineTools({ failures: ['ip -j link: died of SIGSEGV'] } as unknown as NodeFacts).findings
  expect(findings).toMatchObject([{ problem: 'ip -j link: died of SIGSEGV' }])
})
