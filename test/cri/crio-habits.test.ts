// What CRI-O does otherwise than containerd, done through the binary as its libcni does: VERSION when it loads the
// network, STATUS until the node is ready, GC once at its start, CHECK right after every ADD and again when it
// restarts, DEL with the result of the ADD and, after a reboot, without a namespace.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { AgentMachine, type CniAnswer, type Pod } from '../netns/agent-machine.ts'
import { describeKernel } from '../netns/scratch.ts'

/** Host ports are CRI-O's own affair; its burst is the largest that 35 bits hold. */
const runtimeConfig = {
  bandwidth: {
    ingressRate: 8_000_000,
    ingressBurst: (2 ** 32 - 1) * 8 - 1,
    egressRate: 8_000_000,
    egressBurst: (2 ** 32 - 1) * 8 - 1,
  },
}

interface Added extends Pod {
  readonly netns: string
  readonly prevResult: CniAnswer['document']
}

describeKernel("a runtime with CRI-O's habits", () => {
  let machine: AgentMachine
  beforeAll(async () => {
    machine = await AgentMachine.start()
  })
  afterAll(async () => await machine[Symbol.asyncDispose]())

  async function addAndCheck(name: string): Promise<Added> {
    await machine.addPodNamespace(name)
    const pod = { containerId: name, netns: name }
    const { code, document } = await machine.cni('ADD', pod, { runtimeConfig })
    const added = { ...pod, prevResult: document }
    expect([code, await check(added)], `${name}: ${JSON.stringify(document)}`).toEqual([0, 0])
    return added
  }

  const check = async (pod: Added): Promise<number> =>
    (await machine.cni('CHECK', pod, { runtimeConfig, prevResult: pod.prevResult })).code
  const checks = (pods: readonly Added[]): Promise<number[]> => Promise.all(pods.map((pod) => check(pod)))
  const collect = (valid: readonly Pod[]): Promise<CniAnswer> =>
    machine.cni('GC', undefined, {
      'cni.dev/valid-attachments': valid.map(({ containerId }) => ({ containerID: containerId, ifname: 'eth0' })),
    })
  const attachments = async (): Promise<number> =>
    (await machine.succeed('find', ['/run/fairlead/attachments', '-type', 'f'])).split('\n').filter(Boolean).length

  test('loads us before there is an agent, waits for it, and collects what nobody left', async () => {
    const version = await machine.cni('VERSION')
    expect(version.document).toMatchObject({
      supportedVersions: expect.arrayContaining(['0.4.0', '1.0.0', '1.1.0']) as string[],
    })
    expect((await machine.cni('STATUS')).code).toBe(50)
    machine.startAgent()
    await machine.ready()
    expect([(await machine.cni('STATUS')).code, (await collect([])).code]).toEqual([0, 0])
  })

  test('finds its pods as they were where the agent has lost its records, and collects those that are gone', async () => {
    const pods = await Promise.all(Array.from({ length: 5 }, async (_, i) => await addAndCheck(`lost${i}`)))
    await machine.killAgent()
    await machine.succeed('sh', ['-c', 'rm -rf /run/fairlead/*'])
    machine.startAgent()
    await machine.ready()
    expect(await checks(pods)).toEqual(pods.map(() => 0))
    const [gone, ...there] = pods
    expect([(await collect(there)).code, await check(gone!), await attachments()]).toEqual([0, 3, there.length])
    for (const pod of pods) {
      expect((await machine.cni('DEL', pod, { runtimeConfig, prevResult: pod.prevResult })).code).toBe(0)
      await machine.removePodNamespace(pod.netns)
    }
    expect(await attachments()).toBe(0)
  })

  test('checks each pod at once, restarts with the agent, and leaves nothing', async () => {
    const pods = await Promise.all(Array.from({ length: 20 }, async (_, i) => await addAndCheck(`p${i}`)))
    expect(new Set(pods.map(({ prevResult }) => prevResult.ips?.[0]?.address)).size).toBe(20)
    // The agent first: a CHECK must not find it less sure of its pods than before.
    await machine.killAgent()
    machine.startAgent()
    await machine.ready()
    expect(await checks(pods)).toEqual(pods.map(() => 0))

    // Two sandboxes went while the runtime was away: it names the others when it starts.
    const [lost, kept] = [pods.slice(0, 2), pods.slice(2)]
    expect((await collect(kept)).code).toBe(0)
    expect([await checks(kept), await checks(lost), await attachments()]).toEqual([
      kept.map(() => 0),
      [3, 3],
      kept.length,
    ])

    const [gone, ...there] = kept
    await machine.removePodNamespace(gone!.netns)
    const ended = [
      await machine.cni('DEL', { containerId: gone!.containerId }, { runtimeConfig, prevResult: gone!.prevResult }),
    ]
    for (const pod of [...there, ...lost])
      ended.push(await machine.cni('DEL', pod, { runtimeConfig, prevResult: pod.prevResult }))
    expect([ended.filter(({ code }) => code !== 0), await attachments()]).toEqual([[], 0])
    await expect.poll(() => machine.succeed('ip', ['-br', 'link']), { timeout: 60_000 }).not.toMatch(/veth|ifb/)
  })
})
