// The order in which test files begin: one that takes a minute and begins last has the machine to itself.
import { relative } from 'node:path'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** Half a minute and more each on two quiet cores, the longest first. */
const longest = [
  'test/policy/matrix.test.ts',
  'test/netns/lab-cluster.test.ts',
  'test/netns/services-outage.test.ts',
  'test/policy/start-race.test.ts',
  'test/netns/trace.test.ts',
  'test/netns/services-lab.test.ts',
  'test/netns/cleanup.test.ts',
  'test/netns/lab-healing.test.ts',
  'test/netns/policy-packets.test.ts',
  'test/netns/kubectl.test.ts',
  'test/netns/doctor-peers.test.ts',
  'test/policy/flows.test.ts',
  'test/netns/agent-edges.test.ts',
  'test/netns/lab-routed.test.ts',
  'test/cri/containerd-readiness.test.ts',
  'test/netns/agent-drift.test.ts',
]

/** Then the other kernel tests; those of one unit are so short that they fill the end. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const place = ({ project, moduleId }: TestSpecification): number => {
      const at = longest.indexOf(relative(this.ctx.config.root, moduleId))
      if (at !== -1) return at
      return longest.length + (project.name === 'unit' ? 1 : 0)
    }
    return files.toSorted((a, b) => place(a) - place(b))
  }
}
