import { expect, test } from 'vitest'
import { pods } from './resources.ts'
import { parseFieldSelector, parseLabelSelector } from './selectors.ts'

const pod = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'a', namespace: 'shop', labels: { app: 'web', 'example.com/tier': 'front', empty: '' } },
  spec: { nodeName: 'node1' },
}

test.each([
  ['', true],
  ['app=web', true],
  ['app==web', true],
  ['app=db', false],
  ['app!=db', true],
  ['absent!=x', true],
  ['app in (db, web)', true],
  ['app in (db)', false],
  ['app notin (db)', true],
  ['absent notin (x)', true],
  ['absent in (x)', false],
  ['app', true],
  ['!app', false],
  ['!absent', true],
  ['empty=', true],
  ['absent=', false],
  ['app=web,example.com/tier in (front,back),!old', true],
  ['app=web,example.com/tier in (back)', false],
])('labels %j: %s', (text, matches) => {
  expect(parseLabelSelector(text)(pod)).toBe(matches)
})

test.each([
  ['spec.nodeName=node1', true],
  ['spec.nodeName!=node1', false],
  ['spec.nodeName=', false],
  ['status.phase=', true],
  ['metadata.namespace=shop,metadata.name=a', true],
  ['metadata.name=b', false],
])('fields %j: %s', (text, matches) => {
  expect(parseFieldSelector(pods, text)(pod)).toBe(matches)
})

test.each(['app in web', '=x', 'app=web,', 'a b', 'app in (a'])('%j is no label selector', (text) => {
  expect(() => parseLabelSelector(text)).toThrow('Expected a label requirement')
})

test('a field that a kind is not selected by is refused', () => {
  expect(() => parseFieldSelector(pods, 'spec.image=x')).toThrow('field label not supported: spec.image')
})
