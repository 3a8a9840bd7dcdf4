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
])('matches labels against %j: %s', (text, matches) => {
  expect(parseLabelSelector(text)(pod)).toBe(matches)
})

test.each([
  ['spec.nodeName=node1', true],
  ['spec.nodeName!=node1', false],
  ['spec.nodeName=', false],
  ['status.phase=', true],
  ['metadata.namespace=shop,metadata.name=a', true],
  ['metadata.name=b', false],
])('matches fields against %j: %s', (text, matches) => {
  expect(parseFieldSelector(pods, text)(pod)).toBe(matches)
})

test.each(['app in web', '=x', 'app=web,', 'a b', 'app in (a'])('rejects the label selector %j', (text) => {
  expect(() => parseLabelSelector(text)).toThrow('Expected a label requirement')
})

test('rejects a field that the resource cannot be selected by', () => {
  expect(() => parseFieldSelector(pods, 'spec.image=x')).toThrow('field label not supported: spec.image')
})
