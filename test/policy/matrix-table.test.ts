import { expect, test } from 'vitest'
import { tableOfDifferences, type Verdict } from './matrix.ts'

const verdict = (
  from: string,
  to: string,
  expected: string | undefined,
  outcome: Verdict['outcome'],
  service = false,
): Verdict => ({ cell: { from, to, service, port: 80, protocol: 'TCP' }, expected, outcome })

test('no difference is no text', () => {
  expect(
    tableOfDifferences([
      verdict('x/a', 'y/b', 'y/b', { open: 'y/b' }),
      verdict('y/b', 'x/a', undefined, 'refused'),
      verdict('y/b', 'y/b', undefined, 'silent'),
    ]),
  ).toBe('')
})

test('each kind of difference has its mark, in a table for each port', () => {
  const verdicts = [
    verdict('x/a', 'y/b', 'y/b', 'silent'),
    verdict('x/a', 'z', undefined, { open: 'z' }),
    verdict('y/b', 'x/a', undefined, 'lost'),
    verdict('y/b', 'z', 'z', { open: 'z' }),
    verdict('z', 'y/b', 'y/b', { open: 'x/a' }, true),
  ]
  expect(tableOfDifferences(verdicts).split('\n\n')).toEqual([
    expect.stringMatching(/^4 of 5 cells differ/) as string,
    'TCP 80: 3 cells differ\n    x/a y/b z\nx/a .   o   X\ny/b x   .   .\nz   .   .   .',
    'TCP 80 through Services: 1 cells differ\n    x/a y/b z\nx/a .   .   .\ny/b .   .   .\nz   .   ?   .',
  ])
})
