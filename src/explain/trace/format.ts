// A trace for people: a line a hop, below it the command that shows the same, and where it breaks why and what to do.
import { stringify } from 'yaml'
import { arrives, type Hop, type Path, type Trace } from './hop.ts'
import { percent } from './rules.ts'

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

function pathLines({ hops, branches }: Path, indent: string, width: number): string[] {
  const lines = hops.flatMap((hop) => hopLines(hop, indent, width))
  const told =
    branches.length > mostBranches
      ? branches.filter((branch, i) => i === 0 || branches.findIndex((each) => arrives(each) === arrives(branch)) === i)
      : branches
  const rest = branches.filter((branch) => !told.includes(branch))
  return [
    ...lines,
    ...told.flatMap((branch) => [
      `${indent}${percent(branch.chance)} of connections:`,
      ...pathLines(branch, `${indent}  `, width),
    ]),
    ...rest.map((branch) => `${indent}${percent(branch.chance)} of connections: ${endOf(branch)}`),
  ]
}

/** So many are told hop by hop; of more, one of those that arrive and one of those that do not. */
const mostBranches = 10

/** "10.244.1.5:80, arrives" */
function endOf(branch: Path): string {
  const hops = allHops(branch)
  const broken = hops.find((hop) => hop.broken !== undefined)?.broken
  return `${hops.find(({ object }) => object.includes(' DNAT '))?.object.replace(/^.* --to-destination /, '') ?? 'untouched'}, ${broken === undefined ? 'arrives' : broken.problem}`
}

function hopLines({ at, object, note, command, broken }: Hop, indent: string, width: number): string[] {
  const under = `${indent}${' '.repeat(8)}`
  return [
    `${indent}${broken === undefined ? 'ok    ' : 'BROKEN'}  ${at.padEnd(width)}  ${object}${note === undefined ? '' : `   (${note})`}`,
    `${under}$ ${command}`,
    ...(broken === undefined ? [] : [`${under}${broken.problem}`, `${under}-> ${broken.remedy}`]),
    ...(broken?.policy === undefined
      ? []
      : stringify(broken.policy)
          .trimEnd()
          .split('\n')
          .map((line) => `${under}   ${line}`)),
  ]
}

function summary(path: Path): string {
  if (arrives(path)) return 'It arrives.'
  const share = arriving(path)
  return share === 0 ? 'It does not arrive.' : `${percent(share)} of connections arrive.`
}

/** Of all connections, how many. */
function arriving({ hops, branches }: Path): number {
  if (hops.some(({ broken }) => broken !== undefined)) return 0
  return branches.length === 0 ? 1 : branches.reduce((sum, branch) => sum + branch.chance * arriving(branch), 0)
}

function allHops({ hops, branches }: Path): Hop[] {
  return [...hops, ...branches.flatMap(allHops)]
}
