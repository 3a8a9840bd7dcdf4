import fc from 'fast-check'
import { expect, test } from 'vitest'
import { formatSelector, parseLabelSelector, parseValidRequirements, selects } from './label-selector.ts'

const web = { app: 'web', tier: 'front' }

test.each([
  [{}, true],
  [{ matchLabels: { app: 'web' } }, true],
  [{ matchLabels: { app: 'web', tier: 'back' } }, false],
  [{ matchExpressions: [{ key: 'app', operator: 'In', values: ['api', 'web'] }] }, true],
  [{ matchExpressions: [{ key: 'zone', operator: 'In', values: ['a'] }] }, false],
  [{ matchExpressions: [{ key: 'app', operator: 'NotIn', values: ['web'] }] }, false],
  [{ matchExpressions: [{ key: 'zone', operator: 'NotIn', values: ['a'] }] }, true],
  [{ matchExpressions: [{ key: 'app', operator: 'Exists' }] }, true],
  [{ matchExpressions: [{ key: 'app', operator: 'DoesNotExist' }] }, false],
  [{ matchExpressions: [{ key: 'constructor', operator: 'Exists' }] }, false],
  [{ matchLabels: { app: 'web' }, matchExpressions: [{ key: 'zone', operator: 'DoesNotExist' }] }, true],
])('matches %j: %s', (raw, expected) => {
  expect(selects(parseLabelSelector(raw), web)).toBe(expected)
})

test.each([
  ['text', 'Expected a label selector'],
  [{ matchLabels: { 'a b': 'x' } }, 'Expected the key of a label, got `a b`'],
  [{ matchLabels: { app: 'a,b' } }, 'Expected the value of a label, got `a,b`'],
  [
    { matchExpressions: [{ key: 'app', operator: 'Like', values: ['x'] }] },
    'Expected the operator In, NotIn, Exists or DoesNotExist, got `Like`',
  ],
  [{ matchExpressions: [{ key: 'app', operator: 'In', values: [] }] }, 'Expected In to come with values'],
  [{ matchExpressions: [{ key: 'app', operator: 'Exists', values: ['x'] }] }, 'Expected Exists to come without values'],
  [{ matchExpressions: [null] }, 'Expected the key of a label'],
])('rejects %j', (raw, sentence) => {
  expect(() => parseLabelSelector(raw)).toThrow(sentence)
})

test('parses only the valid requirements of a selector', () => {
  const problems: string[] = []
  const selector = parseValidRequirements(
    { matchLabels: { app: 'web' }, matchExpressions: [{ key: 'x', operator: 'Like' }] },
    (why) => problems.push(why),
  )
  expect([formatSelector(selector), problems.length]).toEqual(['app=web', 1])
})

const word = fc.stringMatching(/^[a-z]([a-z.-]{0,3}[a-z])?$/)
const requirement = fc.oneof(
  fc.record({
    key: word,
    operator: fc.constantFrom('In', 'NotIn'),
    values: fc.array(word, { minLength: 1, maxLength: 3 }),
  }),
  fc.record({ key: word, operator: fc.constantFrom('Exists', 'DoesNotExist') }),
)

test('gives selectors the same text only if they match the same labels, in any order of requirements', () => {
  fc.assert(
    fc.property(
      fc.array(requirement, { maxLength: 4 }),
      fc.array(requirement, { maxLength: 4 }),
      fc.dictionary(word, word),
      (a, b, labels) => {
        const [one, same, other] = [
          { matchExpressions: a },
          { matchExpressions: a.toReversed() },
          { matchExpressions: b },
        ].map(parseLabelSelector)
        expect(one).toEqual(same)
        expect(
          formatSelector(one!) !== formatSelector(other!) || selects(one!, labels) === selects(other!, labels),
        ).toBe(true)
        expect(selects(one!, labels)).toBe(one!.every((each) => selects([each], labels)))
      },
    ),
  )
})
