// A runtime that has lost its mind: the same few containers are added, deleted, checked and collected again and again,
// repeated, out of order and all at once, through the real binary. Each call gets a proper answer, and when it has come
// to its senses nothing is left.
import { expect, test, vi } from 'vitest'
import { AgentMachine, type CniAnswer } from './agent-machine.ts'
import { Random } from './random.ts'
import { describeKernel } from './scratch.ts'

const calls = process.env['FAIRLEAD_LONG'] === '1' ? 5000 : 300
const workers = 8
const containers = Array.from({ length: 6 }, (_, i) => ({ containerId: `c${i}`, netns: `p${i}` }))

/** What each command may answer: success, or that the state of the moment forbids it. */
const allowed: Readonly<Record<string, readonly number[]>> = {
  // 4: two containers have asked for eth0 of one namespace at the same time; 11: no port or time just now.
  ADD: [0, 4, 11],
  DEL: [0],
  STATUS: [0],
  GC: [0],
  CHECK: [0, 3, 100],
}

async function addressIn(machine: AgentMachine, netns: string): Promise<string> {
  const { stdout } = await machine.run('ip', ['-n', netns, '-4', '-o', 'addr', 'show', 'dev', 'eth0'])
  return /10\.244\.1\.\d+(?=\/)/.exec(stdout)?.[0] ?? ''
}

async function addressesNoted(machine: AgentMachine): Promise<string[]> {
  const { stdout } = await machine.run('sh', ['-c', 'cat /run/fairlead/attachments/*.json'])
  return [...stdout.matchAll(/"addresses": *\[\s*"([\d.]+)"/g)].map(([, address = '']) => address)
}

function sorted(addresses: readonly string[]): string[] {
  return addresses.toSorted((a, b) => a.localeCompare(b))
}

describeKernel('CNI calls in any order', () => {
  test(`${calls} of them, ${workers} at a time, get proper answers and leave nothing`, async () => {
    const random = new Random()
    console.log(`seed ${random.seed}: TEST_SEED=${random.seed} makes the same calls`)
    await using machine = await AgentMachine.start()
    machine.startAgent()
    await machine.ready()
    for (const { netns } of containers) await machine.addPodNamespace(netns)
    const faults: string[] = []
    const answers = new Map<string, number>()
    const results = new Map<string, CniAnswer['document']>()
    const call = async (): Promise<void> => {
      const command = random.pick(['ADD', 'ADD', 'ADD', 'DEL', 'DEL', 'CHECK', 'STATUS', 'GC'])
      const container = random.pick(containers)
      // Now and then another container's id comes with the namespace, as after a runtime's crash.
      const pod = random.chance(0.1)
        ? { containerId: container.containerId, netns: random.pick(containers).netns }
        : container
      const kept = containers
        .filter(() => random.chance(0.5))
        .map(({ containerId }) => ({ containerID: containerId, ifname: 'eth0' }))
      const conf =
        command === 'CHECK'
          ? { prevResult: results.get(pod.containerId) ?? { cniVersion: '1.1.0' } }
          : command === 'GC'
            ? { 'cni.dev/valid-attachments': kept }
            : {}
      const { code, document } = await machine.cni(command, pod, conf)
      if (command === 'ADD' && code === 0) results.set(pod.containerId, document)
      answers.set(`${command} ${code}`, (answers.get(`${command} ${code}`) ?? 0) + 1)
      if (allowed[command]?.includes(code) !== true)
        faults.push(`${command} ${JSON.stringify(pod)} ${code}: ${document.msg} (${document.details})`)
    }
    let left = calls
    await Promise.all(
      Array.from({ length: workers }, async () => {
        while (left-- > 0) await call()
      }),
    )
    console.log(sorted([...answers].map(([what, count]) => `${what}: ${count}`)).join(', '))
    expect(faults).toEqual([])

    // At rest, which is a second after the last DEL: what the files say is what the namespaces hold, and no address is
    // held twice.
    await vi.waitFor(
      async () => {
        const held = (await Promise.all(containers.map(({ netns }) => addressIn(machine, netns)))).filter(Boolean)
        expect([sorted(held), new Set(held).size]).toEqual([sorted(await addressesNoted(machine)), held.length])
      },
      { timeout: 60_000, interval: 200 },
    )

    for (const { containerId } of containers) expect((await machine.cni('DEL', { containerId })).code).toBe(0)
    await vi.waitFor(
      async () => {
        expect([
          await machine.succeed('ls', ['/run/fairlead/attachments']),
          (await machine.succeed('ip', ['-o', '-br', 'link', 'show', 'type', 'veth']))
            .split('\n')
            .filter((line) => line.startsWith('veth')),
        ]).toEqual(['', []])
      },
      { timeout: 60_000, interval: 200 },
    )
    expect(machine.warnings.filter((message) => message !== 'a CNI request failed')).toEqual([])
  }, 600_000)
})
