// The reachability matrix: real packets between pods of three namespaces on two nodes, nodes and clients outside, cell
// by cell beside the oracle.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Random } from '../netns/random.ts'
import { describeKernel } from '../netns/scratch.ts'
import { isolationCases } from './cases/isolation-cases.ts'
import { peerCases } from './cases/peer-cases.ts'
import { portCases } from './cases/port-cases.ts'
import type { PolicyCase } from './cases/policy-case.ts'
import { MatrixLab } from './matrix-lab.ts'
import { randomNamespaceLabels, randomPodLabels, randomPolicies } from './random-policies.ts'

const randomSets = process.env['FAIRLEAD_LONG'] === undefined ? 20 : 500

describeKernel('reachability', () => {
  let matrix: MatrixLab
  beforeAll(async () => {
    matrix = await MatrixLab.start(`ft-matrix-${process.pid}`)
  })
  afterAll(async () => await matrix[Symbol.asyncDispose]())

  test('without policies everyone reaches everyone', async () => expect(await matrix.differences()).toBe(''))

  test.each<PolicyCase>([...isolationCases, ...peerCases, ...portCases])('%s', async (_, ...policies) => {
    await matrix.apply(...policies)
    await matrix.settle()
    expect(await matrix.differences()).toBe('')
  })

  const random = new Random()
  test(
    `${randomSets} sets of random policies, while labels of pods and namespaces change (TEST_SEED=${random.seed})`,
    async () => {
      for (let set = 1; set <= randomSets; set++) {
        const policies = randomPolicies(random)
        const [pod, namespace] = [random.pick(matrix.pods), random.pick(['x', 'y', 'z'])]
        await matrix.labelPod(`${pod.namespace}/${pod.name}`, randomPodLabels(random))
        await matrix.labelNamespace(namespace, randomNamespaceLabels(random))
        await matrix.apply(...policies)
        await matrix.settle()
        expect(
          await matrix.differences(),
          `set ${set} of TEST_SEED=${random.seed}, and once more: ${JSON.stringify(policies)}`,
        ).toBe('')
      }
    },
    180_000 + randomSets * 5000,
  )

  test('when the last policy is gone everyone reaches everyone again', async () => {
    await matrix.apply()
    await matrix.settle()
    expect(await matrix.differences()).toBe('')
  })
})
