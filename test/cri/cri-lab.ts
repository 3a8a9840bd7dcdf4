// A lab whose two nodes run a containerd each, beside agents and an API server as ever.
import { accessSync, constants } from 'node:fs'
import { join } from 'node:path'
import { execa } from 'execa'
import { describe } from 'vitest'
import { labNamed } from '../../src/lab/layout.ts'
import { TestLab } from '../netns/test-lab.ts'
import { cgroupOf, CriNode } from './cri-node.ts'
import { buildPodImage, podImage } from './pod-image.ts'

/**
 * Like `describe`, for tests of a real runtime: skipped by name, with the reason, where it cannot run.
 * @param lacks what else is missing
 */
export function describeRuntime(name: string, body: () => void, lacks?: string): void {
  const missing =
    process.getuid?.() === 0
      ? (['containerd', 'ctr', 'runc'].find((program) => !isInstalled(program)) ?? lacks)
      : 'root'
  // oxlint-disable-next-line vitest/valid-title -- the title is the caller's
  describe.skipIf(missing !== undefined)(missing === undefined ? name : `${name} (skipped: needs ${missing})`, () => {
    body()
  })
}

export class CriLab implements AsyncDisposable {
  readonly lab: TestLab
  readonly nodes: readonly [CriNode, CriNode]

  constructor(name: string) {
    this.lab = new TestLab(name)
    this.nodes = [new CriNode(name, 'node1'), new CriNode(name, 'node2')]
  }

  /** Seen under the same path on the machine and in its nodes. */
  get directory(): string {
    return labNamed(this.lab.name).directory
  }

  async up(): Promise<void> {
    await this.lab.succeed(['up', '--nodes', '2'])
    const image = await buildPodImage(this.directory)
    await Promise.all(
      this.nodes.map(async ({ containerd }) => {
        await containerd.start()
        await containerd.importImage(image, podImage)
      }),
    )
  }

  /** Returns when the node's agent has ended, or runs (it may not be ready yet). */
  async switchAgent(node: CriNode, action: 'stop' | 'start'): Promise<void> {
    await this.lab.succeed(['agent', action, node.name])
  }

  /** Runtimes, shims and containers end with their node; only the control groups are the machine's. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.lab[Symbol.asyncDispose]()
    await execa('find', [
      '/sys/fs/cgroup',
      '-depth',
      '-type',
      'd',
      '-path',
      `*/${cgroupOf(this.lab.name)}*`,
      '-exec',
      'rmdir',
      '{}',
      '+',
    ])
  }
}

function isInstalled(program: string): boolean {
  return `${process.env['PATH']}:/usr/sbin:/sbin`.split(':').some((directory) => {
    try {
      accessSync(join(directory, program), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}
