// The reachability matrix: real packets between pods of three namespaces on two nodes, nodes and clients outside, cell by cell beside the oracle.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { describeKernel } from '../netns/scratch.ts'
import { MatrixLab } from './matrix-lab.ts'

describeKernel('reachability', () => {
  let matrix: MatrixLab
  beforeAll(async () => {
    matrix = await MatrixLab.start(`ft-matrix-${process.pid}`)
  }, 120_000)
  afterAll(async () => await matrix[Symbol.asyncDispose]())

  test('without policies everyone reaches everyone', async () => expect(await matrix.differences()).toBe(''))
})
