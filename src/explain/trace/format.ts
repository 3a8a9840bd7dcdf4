// Formats a trace for people: a line for each hop, the command that shows the same, and at a broken hop the problem and
// the remedy.
import { stringify } from 'yaml'
import { arrives, type Hop, type Path, type Trace } from './hop.ts'

export function formatTrace({ from, to, path, remarks }: Trace): string {
  const width = Math.max(...allHops(path).map(({ at }) => at.length))
  return [
    `from ${from}`,
    `to   ${to}`,
    ...remarks.map((remark) => `(${remark})`),
    '',
    ...pathLines(path, '', width),
    '',
    summary(path),
  ].join('\n')
}

/** With more branches than this, only the first that arrives and the first that does not are shown hop by hop. */
const maxBranches = 10

function pathLines({ hops, branches }: Path, indent: string, width: number): string[] {
  const lines = hops.flatMap((hop) => hopLines(hop, indent, width))
  const detailed =
    branches.length > maxBranches
      ? branches.filter((branch, i) => i === 0 || branches.findIndex((each) => arrives(each) === arrives(branch)) === i)
      : branches
  const others = branches.filter((branch) => !detailed.includes(branch))
  return [
    ...lines,
    ...detailed.flatMap((branch) => [
      `${indent}${percent(branch.chance)} of connections:`,
      ...pathLines(branch, `${indent}  `, width),
    ]),
    ...others.map((branch) => `${indent}${percent(branch.chance)} of connections: ${endOf(branch)}`),
  ]
}

/** Summarizes a branch: "10.244.1.5:80, arrives". */
function endOf(branch: Path): string {
  const hops = allHops(branch)
  const dnat = hops.find(({ object }) => object.includes(' DNAT '))?.object
  const destination = dnat?.replace(/^.* --to-destination /, '') ?? 'untouched'
  return `${destination}, ${hops.find(({ broken }) => broken !== undefined)?.broken?.problem ?? 'arrives'}`
}

function hopLines({ at, object, note, command, broken }: Hop, indent: string, width: number): string[] {
  const inner = `${indent}${' '.repeat(8)}`
  const verdict = broken === undefined ? 'ok    ' : 'BROKEN'
  return [
    `${indent}${verdict}  ${at.padEnd(width)}  ${object}${note === undefined ? '' : `   (${note})`}`,
    `${inner}$ ${command}`,
    ...(broken === undefined ? [] : [`${inner}${broken.problem}`, `${inner}-> ${broken.remedy}`]),
    ...(broken?.policy === undefined
      ? []
      : stringify(broken.policy)
          .trimEnd()
          .split('\n')
          .map((line) => `${inner}   ${line}`)),
  ]
}

function summary(path: Path): string {
  if (arrives(path)) return 'It arrives.'
  const share = arrivingShare(path)
  return share === 0 ? 'It does not arrive.' : `${percent(share)} of connections arrive.`
}

function arrivingShare({ hops, branches }: Path): number {
  if (hops.some(({ broken }) => broken !== undefined)) return 0
  return branches.length === 0 ? 1 : branches.reduce((sum, branch) => sum + branch.chance * arrivingShare(branch), 0)
}

function percent(share: number): string {
  return `${Number((share * 100).toFixed(share < 0.1 ? 1 : 0))} %`
}

function allHops({ hops, branches }: Path): Hop[] {
  return [...hops, ...branches.flatMap(allHops)]
}
