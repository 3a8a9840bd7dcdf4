// The matrix that real clusters are put through, in a lab: so that the matrix itself is known to work where there is no
// Docker.
import { join } from 'node:path'
import { execa } from 'execa'
import { expect, test } from 'vitest'
import { kubectlMissing } from '../deploy/folders.ts'
import { describeKernel } from '../netns/scratch.ts'
import { root, TestLab } from '../netns/test-lab.ts'
import type { Cluster } from './cluster.ts'
import { askAll, startWorkload } from './matrix.ts'
import { complaint } from './questions.ts'

function labCluster(lab: TestLab): Cluster {
  return {
    kubectl: async (args, input = '') =>
      (await execa(join(root, 'bin/fairlead'), ['lab', 'kubectl', '--name', lab.name, '--', ...args], { input }))
        .stdout,
    inPod: async (pod, script) => await lab.succeed(['exec', '-n', 'e2e', pod, '--', 'sh', '-c', `${script}\ntrue`]),
    image: 'echo',
    echo: [process.execPath, join(root, 'dist/echo.mjs')],
    names: false,
  }
}

test('an answer that is none, from the wrong pod, or through NAT is complained of', () => {
  const question = {
    from: 'a',
    target: '10.244.1.3 8080/TCP',
    why: 'pod on the same node, without NAT',
    answerers: ['b'],
    seen: '10.244.1.2',
  }
  const asked = 'a asked 10.244.1.3 8080/TCP (pod on the same node, without NAT)'
  expect(complaint(question, { pod: 'b', client: '10.244.1.2:40000' })).toBeUndefined()
  expect(complaint(question, undefined)).toBe(`${asked} and got no answer`)
  expect(complaint(question, { pod: 'c', client: '10.244.1.2:40000' })).toBe(`${asked} and c answered, not b`)
  expect(complaint(question, { pod: 'b', client: '10.244.1.1:40000' })).toBe(
    `${asked} and was seen as 10.244.1.1, not 10.244.1.2`,
  )
})

describeKernel('the matrix', () => {
  test.skipIf(kubectlMissing !== undefined)(
    `finds nothing wrong in a lab${kubectlMissing === undefined ? '' : ` (skipped: ${kubectlMissing})`}`,
    async () => {
      await using lab = new TestLab(`ft-e2e-${process.pid}`)
      await lab.succeed(['up', '--nodes', '2'])
      const cluster = labCluster(lab)
      const facts = await startWorkload(cluster)
      expect(facts.pods).toHaveLength(4)
      expect(await askAll(cluster, facts)).toEqual({ asked: 65, complaints: [] })
    },
  )
})
