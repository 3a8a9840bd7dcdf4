import { expect, test } from 'vitest'
import { strategicMerge } from './strategic-merge.ts'

test('containers merge by name, and what a patch does not name stays', () => {
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

test('the ports of a Service merge by number, those of a container by containerPort', () => {
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

test('a condition replaces the one of its type alone', () => {
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

test('atomic lists are replaced, sets are joined, maps merge', () => {
  expect(strategicMerge({ args: ['a', 'b'] }, { args: ['c'] })).toEqual({ args: ['c'] })
  expect(strategicMerge({ endpoints: [{ addresses: ['a'] }] }, { endpoints: [{ addresses: ['b'] }] })).toEqual({
    endpoints: [{ addresses: ['b'] }],
  })
  expect(strategicMerge({ finalizers: ['a'] }, { finalizers: ['b', 'a'] })).toEqual({ finalizers: ['a', 'b'] })
  expect(strategicMerge({ labels: { a: '1', b: '2' } }, { labels: { b: null, c: '3' } })).toEqual({
    labels: { a: '1', c: '3' },
  })
})

test('the directives that kubectl sends', () => {
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

test('a list item without its merge key is refused', () => {
  expect(() => strategicMerge({ containers: [{ name: 'a' }] }, { containers: [{ image: 'x' }] })).toThrow(
    'merge key name',
  )
})
