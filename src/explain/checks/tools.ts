// Checks the tools of the agent and the doctor: whether they run, and whether nft can list the tables on this node.
import type { NftTable } from '../../kernel/nft-tables.ts'
import type { Check, Finding, Examine } from '../check.ts'
import type { NftFacts } from '../node-facts.ts'
import { tableText } from '../read-nft.ts'

export const examineTools: Examine = ({ failures }): Check => ({
  name: 'tools',
  seenAs: 'checks that find nothing, because their facts could not be read',
  findings: failures.map((problem) => ({
    problem,
    remedy: 'install the program, or run the command by hand to see why it fails; checks that need it are not reliable',
  })),
})

export const examineNft: Examine = ({ nft }): Check => {
  const base = { name: 'nft', seenAs: 'an `nft list ruleset` that crashes, or that shows only a part' }
  if (nft === undefined) return { ...base, findings: [], skipped: 'nft is not installed here' }
  const newer = nft.tables.filter(({ madeBy }) => madeBy !== undefined && isNewer(madeBy, nft.version))
  const findings = unreadFindings(nft)
  if (findings.length > 0 || newer.length === 0) return { ...base, findings }
  return {
    ...base,
    findings,
    note: [
      `version ${versionText(nft.version)} here is older than what made ${newer.map(described).join(', ')}`,
      'and lists them',
    ].join(', '),
  }
}

/** @param madeBy has one number more than a release: [1, 1, 7, 0]. */
export function isNewer(madeBy: readonly number[], than: readonly number[]): boolean {
  for (const [i, number] of madeBy.entries()) {
    const other = than[i] ?? 0
    if (number !== other) return number > other
  }
  return false
}

function unreadFindings({ version, tables, unread }: NftFacts): Finding[] {
  const listed = tables.filter((table) => unread.has(tableText(table)))
  if (listed.length === 0) return []
  const reasons = [...new Set(unread.values())]
  const tableList = listed.map(described).join(', ')
  return [
    {
      problem: `nft ${versionText(version)} here cannot list ${tableList} (${reasons.join('; ')})`,
      remedy:
        'policies, Services and pods do not depend on it, but what such a table drops is not known here: ' +
        'list it with the nft that made it, or give Fairlead an image with a newer nft',
    },
  ]
}

function described(table: NftTable): string {
  const { madeBy } = table
  return `table ${tableText(table)}${madeBy === undefined ? '' : ` (of nft ${versionText(madeBy)})`}`
}

function versionText(version: readonly number[]): string {
  return (version.length === 4 && version[3] === 0 ? version.slice(0, 3) : version).join('.')
}
