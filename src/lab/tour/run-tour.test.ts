import { expect, test } from 'vitest'
import { renderResult, renderSummary, type Result, resultAsJson } from './run-tour.ts'

const good: Result = {
  title: 'Pod to pod',
  outcome: {
    ok: true,
    tried: 'a asks b',
    happened: 'b answered',
    exhibits: [
      { where: 'node1', command: 'ip route', lines: ['10.0.0.0/24 dev x '] },
      { where: 'node2', command: 'ip neigh', lines: [] },
    ],
  },
}
const bad: Result = { title: 'Pod to outside', outcome: new Error('no answer') }

test('shows what was tried, what happened and the state of each node', () => {
  expect(renderResult(good, 1, false)).toMatchInlineSnapshot(`
    "✔ 1. Pod to pod
        tried:    a asks b
        happened: b answered
        node1 $ ip route
            10.0.0.0/24 dev x
        node2 $ ip neigh
            (nothing)"
  `)
})

test('counts a step that could not be tried as failed, and names it in the summary', () => {
  expect(renderResult(bad, 2, false)).toBe('✘ 2. Pod to outside\n    no answer')
  expect(renderSummary([good, bad], false)).toBe('1 of 2 steps failed: Pod to outside')
  expect(resultAsJson(bad)).toEqual({ title: 'Pod to outside', ok: false, error: 'no answer' })
})
