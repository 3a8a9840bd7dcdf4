// Two hundred pods start under a policy that denies them everything, and speak from their first instruction on, while a
// pod that may speak shouts at every address that one of them can get: not one packet passes. The same pods without a
// policy show that it would have.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { labNamed, podLogsOf } from '../../src/lab/layout.ts'
import { describeKernel } from '../netns/scratch.ts'
import { type LabPod, TestLab } from '../netns/test-lab.ts'
import { namespaceManifest } from './matrix-cluster.ts'

const outside = '192.168.0.100'
/** What the pods of a namespace send to. */
const ports = { closed: 4000, open: 4001 } as const
const spokenForMs = 1000

describeKernel('a pod starts under a policy', () => {
  const lab = new TestLab(`ft-race-${process.pid}`)
  const directory = mkdtempSync(join(tmpdir(), 'ft-race-'))
  const program = join(directory, 'first-words')
  let listeners: readonly LabPod[]

  beforeAll(async () => {
    execFileSync('musl-gcc', [
      '-std=gnu11',
      '-O2',
      '-static',
      '-Wall',
      '-Wextra',
      '-Werror',
      '-o',
      program,
      join(import.meta.dirname, 'first-words.c'),
    ])
    await lab.succeed(['up'])
    const deny = {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { namespace: 'closed', name: 'deny' },
      spec: { policyTypes: ['Ingress', 'Egress'] },
    }
    await lab.apply(
      namespaceManifest('closed', {}),
      namespaceManifest('open', {}),
      deny,
      ...['node1', 'node2'].map((node) => pod('default', `listener-${node}`, node, ['sleep', 'infinity'])),
    )
    listeners = await lab.readyPods(2)
    const count = `nft -f - <<'.'\ntable inet heard {\n${Object.keys(ports)
      .map((name) => `counter ${name} {}\n`)
      .join('')}chain input { type filter hook input priority 0\n${Object.entries(ports)
      .map(([name, port]) => `udp dport ${port} counter name ${name} drop\n`)
      .join('')}}\n}\n.`
    await lab.succeed(['outside', '--', 'sh', '-ec', count])
    for (const { name } of listeners) await lab.succeed(['exec', name, '--', 'sh', '-ec', count])
  })
  afterAll(async () => {
    await lab[Symbol.asyncDispose]()
    rmSync(directory, { recursive: true })
  })

  function pod(namespace: string, name: string, node: string, command: readonly string[]): object {
    return {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { namespace, name },
      spec: {
        nodeName: node,
        restartPolicy: 'Never',
        terminationGracePeriodSeconds: 1,
        containers: [{ name: 'c', image: 'none', command }],
      },
    }
  }

  /** So many pods of the namespace, on both nodes, speak for so long from their start on. */
  async function speak(namespace: keyof typeof ports, count: number, forMs: number): Promise<void> {
    const to = [outside, ...listeners.map(({ address }) => address)]
    await lab.apply(
      ...Array.from({ length: count }, (_, i) =>
        pod(namespace, `speaker-${i}`, i % 2 === 0 ? 'node1' : 'node2', [
          program,
          String(forMs),
          String(ports[namespace]),
          ...to,
        ]),
      ),
    )
  }

  async function ended(namespace: string, count: number): Promise<void> {
    await vi.waitFor(
      async () => {
        const phases = (await lab.pods()).filter((pod) => pod.namespace === namespace).map(({ phase }) => phase)
        expect(phases).toEqual(Array.from({ length: count }, () => 'Succeeded'))
      },
      { timeout: 400_000, interval: 1000 },
    )
  }

  /** Packets that came to each listener. */
  async function arrived(namespace: keyof typeof ports): Promise<number[]> {
    const list = ['nft', '-j', 'list', 'counter', 'inet', 'heard', namespace]
    const printed = [
      await lab.succeed(['outside', '--', ...list]),
      ...(await Promise.all(listeners.map(async ({ name }) => await lab.succeed(['exec', name, '--', ...list])))),
    ]
    return printed.map(
      (text) =>
        (JSON.parse(text) as { nftables: { counter?: { packets: number } }[] }).nftables.find(
          ({ counter }) => counter !== undefined,
        )?.counter?.packets ?? -1,
    )
  }

  /** What pods of the namespace printed, by the word that a line begins with. */
  function printed(namespace: string): Map<string, string[]> {
    const logs = podLogsOf(labNamed(lab.name))
    const lines = readdirSync(logs)
      .filter((file) => file.startsWith(`${namespace}_`))
      .flatMap((file) => readFileSync(join(logs, file), 'utf8').split('\n'))
    return Map.groupBy(lines, (line) => line.split(' ')[0] ?? '')
  }

  test('not one packet of 200 pods passes, in either direction; those of pods without a policy do', async () => {
    // Both podCIDRs are shouted at from a pod that nothing holds back.
    const cidrs = (await lab.status()).nodes.map(({ podCidr }) => podCidr.replace(/\.0\/24$/, ''))
    const shouting = `const socket = require('node:dgram').createSocket('udp4'); const all = ${JSON.stringify(cidrs)}.flatMap((start) => Array.from({ length: 253 }, (_, i) => start + '.' + (i + 2))); socket.bind(() => setInterval(() => { for (const to of all) socket.send('x', 80, to, () => undefined) }, 100))`
    await lab.apply(pod('default', 'shouter', 'node2', ['node', '-e', shouting]))
    await lab.readyPods(3)
    await speak('closed', 200, spokenForMs)
    await ended('closed', 200)
    expect([...new Set(printed('closed').get('heard'))]).toEqual([])
    expect(printed('closed').get('sent')).toHaveLength(200)
    expect(await arrived('closed')).toEqual([0, 0, 0])

    // Those speak until each way has carried something: a busy machine may keep the shouter from its turn for longer
    // than the others spoke.
    await speak('open', 4, 3_600_000)
    await vi.waitFor(
      async () => {
        expect(printed('open').get('heard')?.length).toBeGreaterThan(0)
        expect(await arrived('open')).toSatisfy((counts: number[]) => counts.every((count) => count > 0))
      },
      { timeout: 200_000, interval: 300 },
    )
  }, 700_000)
})
