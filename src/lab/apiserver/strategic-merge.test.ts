import { expect, test } from 'vitest'
import { strategicMerge } from './strategic-merge.ts'

test('merges containers by name, and keeps fields that the patch does not mention', () => {
  const target = {
    spec: {
      containers: [
        {
          name: 'a',
          image: '1',
          env: [
            { name: 'X', value: '1' },
            { name: 'Y', value: '2' },
          ],
        },
        { name: 'b', image: '1' },
      ],
    },
  }
  const patch = {
    spec: {
      containers: [
        {
          name: 'a',
          image: '2',
          env: [
            { name: 'Y', $patch: 'delete' },
            { name: 'Z', value: '3' },
          ],
        },
      ],
    },
  }
  expect(strategicMerge(target, patch)).toEqual({
    spec: {
      containers: [
        {
          name: 'a',
          image: '2',
          env: [
            { name: 'X', value: '1' },
            { name: 'Z', value: '3' },
          ],
        },
        { name: 'b', image: '1' },
      ],
    },
  })
  expect(target.spec.containers[0]?.image).toBe('1')
})

test('merges Service ports by port, and container ports by containerPort', () => {
  expect(
    strategicMerge(
      { ports: [{ port: 80, nodePort: 30_000 }, { port: 81 }] },
      {
        ports: [
          { port: 80, targetPort: 8080 },
          { port: 81, $patch: 'delete' },
        ],
      },
    ),
  ).toEqual({ ports: [{ port: 80, nodePort: 30_000, targetPort: 8080 }] })
  expect(
    strategicMerge(
      { ports: [{ containerPort: 80, protocol: 'TCP' }] },
      { ports: [{ containerPort: 80, name: 'http' }] },
    ),
  ).toEqual({ ports: [{ containerPort: 80, protocol: 'TCP', name: 'http' }] })
})

test('replaces only the condition of the same type', () => {
  const target = {
    conditions: [
      { type: 'Ready', status: 'True' },
      { type: 'PodScheduled', status: 'False', message: 'why' },
    ],
  }
  expect(strategicMerge(target, { conditions: [{ type: 'PodScheduled', status: 'True', message: null }] })).toEqual({
    conditions: [
      { type: 'Ready', status: 'True' },
      { type: 'PodScheduled', status: 'True' },
    ],
  })
})

test('replaces atomic lists, joins sets and merges maps', () => {
  expect(strategicMerge({ args: ['a', 'b'] }, { args: ['c'] })).toEqual({ args: ['c'] })
  expect(strategicMerge({ endpoints: [{ addresses: ['a'] }] }, { endpoints: [{ addresses: ['b'] }] })).toEqual({
    endpoints: [{ addresses: ['b'] }],
  })
  expect(strategicMerge({ finalizers: ['a'] }, { finalizers: ['b', 'a'] })).toEqual({ finalizers: ['a', 'b'] })
  expect(strategicMerge({ labels: { a: '1', b: '2' } }, { labels: { b: null, c: '3' } })).toEqual({
    labels: { a: '1', c: '3' },
  })
})

test('applies the directives that kubectl sends', () => {
  expect(strategicMerge({ finalizers: ['a', 'b'] }, { '$deleteFromPrimitiveList/finalizers': ['a'] })).toEqual({
    finalizers: ['b'],
  })
  expect(
    strategicMerge(
      { strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1 } } },
      { strategy: { $retainKeys: ['type'], type: 'Recreate' } },
    ),
  ).toEqual({ strategy: { type: 'Recreate' } })
  expect(strategicMerge({ selector: { app: 'a' } }, { selector: { $patch: 'replace', tier: 'b' } })).toEqual({
    selector: { tier: 'b' },
  })
  const containers = [{ name: 'a' }, { name: 'b' }]
  expect(
    strategicMerge(
      { containers },
      {
        $setElementOrder: [],
        '$setElementOrder/containers': [{ name: 'c' }, { name: 'b' }, { name: 'a' }],
        containers: [{ name: 'c' }],
      },
    ),
  ).toEqual({ containers: [{ name: 'c' }, { name: 'b' }, { name: 'a' }] })
})

test('rejects a list item without its merge key', () => {
  expect(() => strategicMerge({ containers: [{ name: 'a' }] }, { containers: [{ image: 'x' }] })).toThrow(
    'merge key name',
  )
})
