import { expect, test } from 'vitest'
import { parseManifests } from './objects.ts'

test('documents, empty ones and Lists are all read', () => {
  const pod = (name: string): string => `{apiVersion: v1, kind: Pod, metadata: {name: ${name}}}`
  const text = `---\n${pod('a')}\n---\n# nothing here\n---\n{apiVersion: v1, kind: List, items: [${pod('b')}, ${pod('c')}]}\n`
  expect(parseManifests(text, 'x.yaml').map(({ metadata }) => metadata.name)).toEqual(['a', 'b', 'c'])
})

test('with a place for problems, documents that are no objects hide no others', () => {
  const text = `kind: Pod\n---\n{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: null}}
---
{apiVersion: v1, kind: List, items: [null, {apiVersion: v1, kind: Pod, metadata: {name: b}}]}
---
{apiVersion: v1, kind: List, items: null}\n`
  const problems: string[] = []
  const names = parseManifests(text, 'x.yaml', (problem) => problems.push(problem)).map(({ metadata }) => metadata.name)
  expect(names).toEqual(['a', 'b'])
  expect(problems).toEqual([
    expect.stringMatching(/^x\.yaml, document 1 is no Kubernetes object: apiVersion is missing or wrong/),
    expect.stringMatching(/^x\.yaml, document 3, item 1 is no Kubernetes object: it is missing or wrong/),
  ])
})

test.each([
  [
    '{apiVersion: v1, kind: Pod, metadata: {name: a}}\n---\n{kind: Pod, metadata: {name: b}}',
    /^x\.yaml, document 2 is no Kubernetes object: apiVersion/,
  ],
  ['a: [', /^x\.yaml, document 1 is no YAML: /],
  ['hello', /^x\.yaml, document 1 is no Kubernetes object/],
])('%j is refused with its place', (text, message) => {
  expect(() => parseManifests(text, 'x.yaml')).toThrow(message)
})
