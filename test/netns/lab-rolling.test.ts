// An upgrade as a DaemonSet makes it: agent after agent ends and starts again, under steady traffic through a Service
// across the nodes, while pods come up on both.
import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { describeKernel } from './scratch.ts'
import { echoPod, root, TestLab } from './test-lab.ts'

const lab = new TestLab(`ft-roll-${process.pid}`)
const nodes = ['node1', 'node2'] as const
/** Connections a second, of all clients together. */
const rate = process.env['FAIRLEAD_LONG'] === undefined ? 200 : 1000

interface LoadResult {
  readonly asked: number
  readonly answered: Readonly<Record<string, number>>
  readonly failures: readonly string[]
}

class Load {
  readonly #child: ChildProcess
  readonly #lines: AsyncIterator<string>

  private constructor(pod: string, address: string) {
    const program = join(import.meta.dirname, 'steady-load-process.ts')
    this.#child = spawn(
      join(root, 'bin/fairlead'),
      [
        'lab',
        'exec',
        '--name',
        lab.name,
        pod,
        '--',
        process.execPath,
        program,
        address,
        '80',
        String(rate / nodes.length),
      ],
      { stdio: ['pipe', 'pipe', 'inherit'] },
    )
    this.#lines = createInterface({ input: this.#child.stdout! })[Symbol.asyncIterator]()
  }

  static async start(pod: string, address: string): Promise<Load> {
    const load = new Load(pod, address)
    expect(await load.#lines.next()).toEqual({ done: false, value: 'started' })
    return load
  }

  async stop(): Promise<LoadResult> {
    this.#child.stdin!.end()
    return JSON.parse(String((await this.#lines.next()).value)) as LoadResult
  }
}

async function ready(node: string): Promise<void> {
  const question =
    "fetch('http://127.0.0.1:10256/readyz').then(({ status }) => process.exit(status === 200 ? 0 : 1), () => process.exit(1))"
  await vi.waitFor(
    async () => expect((await lab.run(['node', node, '--', process.execPath, '-e', question])).exitCode).toBe(0),
    { timeout: 60_000, interval: 200 },
  )
}

describeKernel('the agents of a lab, restarted one after the other', () => {
  beforeAll(async () => {
    await lab.succeed(['up', '--nodes', '2'])
    const labels = { app: 'web' }
    const web = nodes.map((node) => ({ ...echoPod(`web-${node}`, node), metadata: { name: `web-${node}`, labels } }))
    const service = {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'web' },
      spec: { clusterIP: '10.254.7.7', selector: labels, ports: [{ port: 80, targetPort: 8080 }] },
    }
    await lab.apply(service, ...web, ...nodes.map((node) => echoPod(`client-${node}`, node)))
    await lab.readyPods(4)
    // Both clients reach both endpoints.
    for (const node of nodes) {
      await vi.waitFor(
        async () => {
          const answers = await lab.ask(
            `client-${node}`,
            Array.from({ length: 8 }, () => '10.254.7.7 80/TCP'),
          )
          expect(new Set(answers.map(({ pod }) => pod)).size).toBe(2)
        },
        { timeout: 60_000, interval: 500 },
      )
    }
  })
  afterAll(async () => await lab[Symbol.asyncDispose]())

  test(`fail none of ${rate} connections a second, and no pod that starts meanwhile`, async () => {
    const loads = await Promise.all(nodes.map(async (node) => await Load.start(`client-${node}`, '10.254.7.7')))
    const started: string[] = []
    const startPod = async (node: string): Promise<void> => {
      started.push(`new-${started.length}`)
      await lab.apply(echoPod(started.at(-1)!, node))
    }
    for (const node of nodes) {
      await startPod(node)
      await lab.succeed(['agent', 'stop', node])
      // Its ADD comes while there is no agent, and one on the other node meanwhile.
      await Promise.all(nodes.map(startPod))
      await lab.succeed(['agent', 'start', node])
      await startPod(node)
      await ready(node)
    }
    await lab.readyPods(4 + started.length)
    const results = await Promise.all(loads.map(async (load) => await load.stop()))
    for (const { asked, answered, failures } of results) {
      expect(failures).toEqual([])
      expect(Object.keys(answered).toSorted()).toEqual(['web-node1', 'web-node2'])
      expect(Object.values(answered).reduce((sum, count) => sum + count, 0)).toBe(asked)
    }
    // Not one sandbox had to be tried twice.
    const events = JSON.parse(await lab.succeed(['kubectl', 'get', '--raw', '/api/v1/events'])) as {
      items: { type: string; reason: string; message: string }[]
    }
    expect(events.items.filter(({ reason }) => reason === 'FailedCreatePodSandBox')).toEqual([])
  })
})
