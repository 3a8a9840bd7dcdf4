// What is wrong with a node is an Event of its Node object.
import { expect, test, vi } from 'vitest'
import { AgentMachine } from './agent-machine.ts'
import { describeKernel } from './scratch.ts'

const eventually = { timeout: 60_000, interval: 200 }

async function events(machine: AgentMachine): Promise<{ reason: string; note: string; regarding: object }[]> {
  const { items } = (await machine.api('GET', '/apis/events.k8s.io/v1/namespaces/default/events')) as {
    items: { reason: string; note: string; regarding: object }[]
  }
  return items
}

describeKernel('the Events of a Node say', () => {
  test('that its addresses are nearly used up, and then that they are', async () => {
    await using machine = await AgentMachine.start('10.244.1.0/28')
    const { metadata } = (await machine.api('GET', '/api/v1/nodes/n1')) as { metadata: { uid: string } }
    machine.startAgent()
    await machine.ready()
    const add = async (n: number) => {
      await machine.addPodNamespace(`p${n}`)
      return (await machine.cni('ADD', { containerId: `p${n}`, netns: `p${n}` })).code
    }
    const reasons = async () => (await events(machine)).map(({ reason }) => reason)
    for (let n = 1; n <= 11; n++) expect(await add(n)).toBe(0)
    const pool = /free in podCIDR 10\.244\.1\.0\/28/
    // A pass has looked at the eleven: of these no one is told.
    await vi.waitFor(
      async () => expect(await machine.metrics()).toMatch(/ipam_addresses\{.*state="used"\} 11/),
      eventually,
    )
    expect(machine.warnings.filter((text) => pool.test(text))).toEqual([])
    expect(await add(12)).toBe(0)
    await vi.waitFor(async () => expect(await reasons()).toEqual(['PodAddressesNearlyExhausted']), eventually)
    expect(await add(13)).toBe(0)
    await vi.waitFor(
      async () =>
        expect((await reasons()).toSorted()).toEqual(['PodAddressesExhausted', 'PodAddressesNearlyExhausted']),
      eventually,
    )
    for (const { note, regarding } of await events(machine)) {
      expect(note).toMatch(pool)
      expect(regarding).toEqual({ apiVersion: 'v1', kind: 'Node', name: 'n1', uid: metadata.uid })
    }
    expect(await add(14)).toBe(11)
  })

  test('that another node has its address', async () => {
    await using machine = await AgentMachine.start()
    await machine.putNode('10.244.2.0/24', 'n2', '192.168.99.1')
    machine.startAgent()
    await machine.ready()
    await vi.waitFor(
      async () =>
        expect(await events(machine)).toMatchObject([
          {
            reason: 'NodeLeftOut',
            regarding: { kind: 'Node', name: 'n2' },
            note: expect.stringMatching(/^Node n2 has InternalIP 192\.168\.99\.1, .*n1/) as string,
          },
        ]),
      eventually,
    )
  })
})
