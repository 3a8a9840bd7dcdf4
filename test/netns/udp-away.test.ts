// UDP flows whose host port, frontend or endpoint goes while the agent is stopped or killed: the next agent ends them, and
// leaves the flows of others alone. The flows are entries that nobody has to send.
import { expect, test } from 'vitest'
import { AgentMachine } from './agent-machine.ts'
import { describeKernel } from './scratch.ts'
import { service, servicesPath, slice, slicesPath } from './service-machine.ts'
import { entriesFrom, insertEntry } from './udp-clients.ts'

const node = '192.168.99.1'
const external = '203.0.113.20'
const endpoint = '10.244.2.7'

/** The machine as the helpers of UDP flows take it. */
const on = (machine: AgentMachine) => ({
  run: (program: string, args: readonly string[]) => machine.succeed(program, args),
})

async function counts(machine: AgentMachine, ...sourcePorts: readonly number[]): Promise<number[]> {
  const entries = await Promise.all(sourcePorts.map(async (port) => entriesFrom(on(machine), port)))
  return entries.map(({ length }) => length)
}

describeKernel('UDP flows while the agent is away', () => {
  test.each(['TERM', 'KILL'] as const)('%s: a host port, without a service proxy', async (signal) => {
    await using machine = await AgentMachine.start()
    const flags = ['--service-proxy', 'false']
    machine.startAgent({ flags })
    await machine.ready()
    const conf = (hostPort: number) => ({
      runtimeConfig: { portMappings: [{ hostPort, containerPort: 53, protocol: 'udp' }] },
    })
    for (const name of ['gone', 'stays']) await machine.addPodNamespace(name)
    const add = async (name: string, hostPort: number): Promise<string> =>
      (await machine.cni('ADD', { containerId: name, netns: name }, conf(hostPort))).document.ips?.[0]?.address.split(
        '/',
      )[0] ?? ''
    const [gone, stays] = [await add('gone', 5353), await add('stays', 5354)]
    const entry = (sourcePort: number, to: [string, number], from: [string, number]) =>
      insertEntry(on(machine), { source: '192.168.99.9', sourcePort, to, from })
    await entry(40_001, [node, 5353], [gone, 53])
    await entry(40_002, [node, 5354], [stays, 53])
    // kube-proxy's node port of the same number, and a client of a server elsewhere.
    await entry(40_003, [node, 5353], [endpoint, 53])
    await entry(40_004, ['198.51.100.7', 5353], ['198.51.100.7', 5353])
    await machine.killAgent(signal)
    await machine.removePodNamespace('gone')
    machine.startAgent({ flags })
    await expect
      .poll(async () => counts(machine, 40_001, 40_002, 40_003, 40_004), { timeout: 60_000, interval: 200 })
      .toEqual([0, 1, 1, 1])
  })

  test.each(['TERM', 'KILL'] as const)(
    '%s: an external address, a node port, an endpoint, a Service',
    async (signal) => {
      await using machine = await AgentMachine.start()
      machine.startAgent()
      await machine.ready()
      const ports = [{ name: 'd', port: 5300, targetPort: 53, protocol: 'UDP', nodePort: 30_999 }]
      const spec = { type: 'NodePort', clusterIP: '10.254.77.7', externalIPs: [external], ports }
      const more = { ports: [{ name: 'd', port: 53, protocol: 'UDP' }] }
      await machine.api('POST', servicesPath, service('u', spec))
      await machine.api('POST', slicesPath, slice('u', [endpoint, '10.244.2.8'], more))
      await machine.api(
        'POST',
        servicesPath,
        service('v', { clusterIP: '10.254.77.8', ports: [{ ...ports[0], nodePort: undefined }] }),
      )
      await machine.api('POST', slicesPath, slice('v', [endpoint], more))
      const nat = async (): Promise<string> => machine.succeed('iptables-nft', ['-t', 'nat', '-S'])
      await expect
        .poll(nat, { timeout: 60_000, interval: 200 })
        .toMatch(/203.0.113.20[^]*10.254.77.8|10.254.77.8[^]*203.0.113.20/)
      const entry = (sourcePort: number, to: [string, number], from: [string, number]) =>
        insertEntry(on(machine), { source: '192.168.99.9', sourcePort, to, from })
      await entry(40_001, [external, 5300], [endpoint, 53])
      await entry(40_002, [node, 30_999], [endpoint, 53])
      await entry(40_003, ['10.254.77.7', 5300], [endpoint, 53])
      await entry(40_004, ['10.254.77.7', 5300], ['10.244.2.8', 53])
      await entry(40_005, ['10.254.77.8', 5300], [endpoint, 53])
      // Directly, and by another program's rule.
      await entry(40_006, ['10.244.2.8', 53], ['10.244.2.8', 53])
      await entry(40_007, [node, 5300], ['10.244.2.8', 53])
      await machine.killAgent(signal)
      await machine.api('DELETE', `${servicesPath}/v`)
      await machine.api('DELETE', `${slicesPath}/v-1`)
      await machine.api('DELETE', `${servicesPath}/u`)
      await machine.api(
        'POST',
        servicesPath,
        service('u', { clusterIP: '10.254.77.7', ports: [{ ...ports[0], nodePort: undefined }] }),
      )
      await machine.api('DELETE', `${slicesPath}/u-1`)
      await machine.api('POST', slicesPath, slice('u', [endpoint], more))
      machine.startAgent()
      await machine.ready()
      await expect
        .poll(async () => counts(machine, 40_001, 40_002, 40_003, 40_004, 40_005, 40_006, 40_007), {
          timeout: 60_000,
          interval: 200,
        })
        .toEqual([0, 0, 1, 0, 0, 1, 1])
    },
  )
})
