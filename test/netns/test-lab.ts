// A lab of a test's own, driven through the command line as a person would.
import { join } from 'node:path'
import { execa } from 'execa'
import { expect, vi } from 'vitest'

export const root = join(import.meta.dirname, '../..')
const echo = join(root, 'dist/echo.mjs')

export interface LabPod {
  readonly namespace: string
  readonly name: string
  readonly node: string
  readonly address: string
  readonly phase: string
  readonly ready: boolean
}

export interface LabNode {
  readonly name: string
  readonly address: string
  readonly podCidr: string
}

interface LabStatus {
  readonly nodes: readonly LabNode[]
  readonly pods: readonly LabPod[]
}

/** What the echo answers. */
export interface Answer {
  readonly pod: string
  readonly node: string
  readonly client: string
}

export class TestLab implements AsyncDisposable {
  readonly name: string

  constructor(name: string) {
    this.name = name
  }

  async run(args: readonly string[], input = ''): Promise<{ exitCode?: number; stdout: string; stderr: string }> {
    const [command = '', ...rest] = args
    return await execa(join(root, 'bin/fairlead'), ['lab', command, '--name', this.name, ...rest], {
      reject: false,
      input,
    })
  }

  async succeed(args: readonly string[], input = ''): Promise<string> {
    const { exitCode, stdout, stderr } = await this.run(args, input)
    expect(exitCode, `fairlead lab ${args.join(' ')}: ${stdout}\n${stderr}`).toBe(0)
    return stdout
  }

  async apply(...objects: readonly object[]): Promise<void> {
    await this.succeed(['apply', '-f', '-'], manifests(objects))
  }

  async delete(...objects: readonly object[]): Promise<void> {
    await this.succeed(['delete', '-f', '-'], manifests(objects))
  }

  /** What `lab status` knows; its exit code says only whether all nodes are ready. */
  async status(): Promise<LabStatus> {
    const { stdout } = await this.run(['status', '-o', 'json'])
    return JSON.parse(stdout) as LabStatus
  }

  async pods(): Promise<readonly LabPod[]> {
    return (await this.status()).pods
  }

  /** Waits until so many pods are there, all of them ready. */
  async readyPods(count: number): Promise<readonly LabPod[]> {
    return await vi.waitFor(
      async () => {
        const pods = await this.pods()
        expect(pods.filter(({ ready }) => ready)).toHaveLength(count)
        expect(pods).toHaveLength(count)
        return pods
      },
      { timeout: 60_000, interval: 300 },
    )
  }

  async readyPod(name: string): Promise<LabPod> {
    return await vi.waitFor(
      async () => {
        const pod = (await this.pods()).find((pod) => pod.name === name)
        expect(pod).toMatchObject({ ready: true })
        return pod!
      },
      { timeout: 60_000, interval: 200 },
    )
  }

  /** Asks echoes from a pod, each at ADDRESS PORT/PROTOCOL; their answers in the same order. */
  async ask(from: string, targets: readonly string[]): Promise<Answer[]> {
    const script = targets.map((target) => `${process.execPath} ${echo} ask ${target} || exit 1`).join('\n')
    const printed = await this.succeed(['exec', from, '--', 'sh', '-c', script])
    return printed
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Answer)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.run(['down'])
  }
}

/** A pod with an echo on a node; `more` goes into its spec. */
export function echoPod(name: string, node: string, more: object = {}): object {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name },
    spec: { nodeName: node, terminationGracePeriodSeconds: 1, containers: [{ name: 'c', image: 'echo' }], ...more },
  }
}

function manifests(objects: readonly object[]): string {
  return objects.map((object) => JSON.stringify(object)).join('\n---\n')
}
