// A node that nobody touches has no drift, however many pods start and end, with host ports, limits and policies; and
// what somebody does touch meanwhile is counted.
import { expect, test } from 'vitest'
import { AgentMachine, until } from './agent-machine.ts'
import { describeKernel } from './scratch.ts'

const root = new URL('../../', import.meta.url).pathname

interface Drift {
  readonly room: string
  readonly count: number
  readonly last: string
}

async function driftOf(machine: AgentMachine): Promise<Drift[]> {
  const status = JSON.parse(await machine.succeed(`${root}bin/fairlead`, ['status', '-o', 'json'])) as {
    repairs: Drift[]
  }
  return status.repairs
}

/** Starts and ends so many pods, ten at a time; every third has host ports and limits. */
async function churn(machine: AgentMachine, count: number): Promise<void> {
  const codes: number[] = []
  const live = async (i: number): Promise<void> => {
    const name = `p${i}`
    const pod = { containerId: name, netns: name }
    const limit = 10_000_000
    const protocol = i % 2 === 0 ? 'tcp' : 'udp'
    const runtimeConfig = {
      portMappings: [{ hostPort: 20_000 + i, containerPort: 80, protocol }],
      bandwidth: { ingressRate: limit, ingressBurst: limit, egressRate: limit, egressBurst: limit },
    }
    const conf = i % 3 === 0 ? { runtimeConfig } : {}
    await machine.addPodNamespace(name)
    codes.push((await machine.cni('ADD', pod, conf)).code)
    codes.push((await machine.cni('DEL', pod, conf)).code)
    await machine.removePodNamespace(name)
  }
  const next = Array.from({ length: count }, (_, i) => i)
  const worker = async (): Promise<void> => {
    for (let i = next.pop(); i !== undefined; i = next.pop()) await live(i)
  }
  await Promise.all(Array.from({ length: 10 }, worker))
  expect(codes.filter((code) => code !== 0)).toEqual([])
}

describeKernel('drift', () => {
  test('none is counted while pods start and end, and what others change is', async () => {
    await using machine = await AgentMachine.start()
    await machine.api('POST', '/apis/networking.k8s.io/v1/namespaces/default/networkpolicies', {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { name: 'deny' },
      spec: { podSelector: {} },
    })
    machine.startAgent({ flags: ['--resync-seconds', '1'] })
    await machine.ready()
    await churn(machine, process.env['FAIRLEAD_LONG'] === undefined ? 100 : 1000)
    expect(await driftOf(machine)).toEqual([])

    // While pods start: the bridge's MTU, and a port of a pod that runs.
    await machine.addPodNamespace('kept')
    await machine.cni('ADD', { containerId: 'kept', netns: 'kept' })
    const links = JSON.parse(await machine.succeed('ip', ['-j', 'link', 'show', 'master', 'cni0'])) as {
      ifname: string
    }[]
    const port = links[0]?.ifname ?? ''
    await Promise.all([
      churn(machine, 10),
      machine.succeed('ip', ['link', 'set', port, 'type', 'bridge_slave', 'hairpin', 'off']),
    ])
    await until(async () => (await driftOf(machine)).length > 0, 'the drift to be counted')
    expect(await driftOf(machine)).toEqual([
      expect.objectContaining({ room: 'pods', count: 1, last: `ip link set ${port} type bridge_slave hairpin on` }),
    ])
  })
})
