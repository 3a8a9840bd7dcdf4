import { expect, test } from 'vitest'
import { parseManifests } from './objects.ts'

test('parses several documents, empty ones and Lists', () => {
  const pod = (name: string): string => `{apiVersion: v1, kind: Pod, metadata: {name: ${name}}}`
  const list = `{apiVersion: v1, kind: List, items: [${pod('b')}, ${pod('c')}]}`
  const text = `---\n${pod('a')}\n---\n# nothing here\n---\n${list}\n`
  expect(parseManifests(text, 'x.yaml').map(({ metadata }) => metadata.name)).toEqual(['a', 'b', 'c'])
})

test('reports invalid documents and returns the others, if problems are collected', () => {
  const text = `kind: Pod\n---\n{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: null}}
---
{apiVersion: v1, kind: List, items: [null, {apiVersion: v1, kind: Pod, metadata: {name: b}}]}
---
{apiVersion: v1, kind: List, items: null}\n`
  const problems: string[] = []
  const names = parseManifests(text, 'x.yaml', (problem) => problems.push(problem)).map(({ metadata }) => metadata.name)
  expect(names).toEqual(['a', 'b'])
  expect(problems).toEqual([
    expect.stringMatching(/^x\.yaml, document 1 is not a Kubernetes object: apiVersion is missing or wrong/),
    expect.stringMatching(/^x\.yaml, document 3, item 1 is not a Kubernetes object: it is missing or wrong/),
  ])
})

test.each([
  [
    '{apiVersion: v1, kind: Pod, metadata: {name: a}}\n---\n{kind: Pod, metadata: {name: b}}',
    /^x\.yaml, document 2 is not a Kubernetes object: apiVersion/,
  ],
  ['a: [', /^x\.yaml, document 1 is not YAML: /],
  ['hello', /^x\.yaml, document 1 is not a Kubernetes object/],
])('rejects %j and names the document', (text, message) => {
  expect(() => parseManifests(text, 'x.yaml')).toThrow(message)
})
