// Options of a running agent: what it follows, what it tells of, and what is removed when a part of it is switched off.
import { renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { AgentMachine } from './agent-machine.ts'
import { describeKernel } from './scratch.ts'

const eventually = { timeout: 60_000, interval: 100 }
const peer = { name: 'n2', address: '192.168.99.2', podCidr: '10.244.2.0/24' }

function configure(machine: AgentMachine, text: string): void {
  writeFileSync(join(machine.dir, 'config.new'), text)
  renameSync(join(machine.dir, 'config.new'), join(machine.dir, 'config.yaml'))
}

function start(machine: AgentMachine, text: string): void {
  configure(machine, text)
  machine.startAgent({ flags: ['--config', join(machine.dir, 'config.yaml')] })
}

async function links(machine: AgentMachine): Promise<string[]> {
  return (await machine.succeed('ip', ['-br', 'link']))
    .trim()
    .split('\n')
    .map((line) => line.split(/[@ ]/)[0] ?? '')
    .filter((name) => !name.startsWith('veth'))
    .toSorted()
}

/** Of both address families' tables, in the backend that the agent chose here. */
async function rules(machine: AgentMachine): Promise<string> {
  return (await machine.succeed('iptables-nft-save', [])) + (await machine.succeed('ip6tables-nft-save', []))
}

async function routes(machine: AgentMachine): Promise<string> {
  return await machine.succeed('ip', ['route', 'show', 'proto', '98'])
}

describeKernel('a running agent', () => {
  test('follows its configuration, tells what waits for a restart, and keeps to the last one that was right', async () => {
    await using machine = await AgentMachine.start()
    await machine.putNode(peer.podCidr, peer.name, peer.address)
    start(machine, 'masquerade: true\n')
    await machine.ready()
    expect(await links(machine)).toEqual(['cni0', 'elsewhere', 'fairlead.1', 'lo', 'uplink'])
    expect(await rules(machine)).toContain('-j MASQUERADE')

    configure(machine, 'masquerade: false\nvxlanDevice: vx7\nvni: 7\nbridge: br7\nmasqueradeBit: 15\n')
    await vi.waitFor(async () => {
      expect(await links(machine)).toEqual(['cni0', 'elsewhere', 'lo', 'uplink', 'vx7'])
      expect(await rules(machine)).not.toContain('fairlead egress')
      expect(await rules(machine)).toContain('-A KUBE-MARK-MASQ -j MARK --set-xmark 0x8000/0x8000')
      expect(await routes(machine)).toContain('dev vx7')
    }, eventually)
    expect(machine.warnings).toContain(
      'Option bridge is br7 now and cni0 in force: it changes when the agent is restarted',
    )

    configure(machine, 'masquerade: perhaps\n')
    await vi.waitFor(
      () =>
        expect(machine.warnings.at(-1)).toBe(
          `The changed configuration is not used: Expected \`masquerade\` in ${machine.dir}/config.yaml to be true or false, got \`"perhaps"\``,
        ),
      eventually,
    )
    configure(machine, 'overlay: direct\n')
    await vi.waitFor(async () => {
      expect(await links(machine)).toEqual(['cni0', 'elsewhere', 'lo', 'uplink'])
      expect(await routes(machine)).toBe('10.244.2.0/24 via 192.168.99.2 dev uplink \n')
      expect(await rules(machine)).toContain('fairlead egress')
    }, eventually)
    configure(machine, 'overlay: none\n')
    await vi.waitFor(async () => expect(await routes(machine)).toBe(''), eventually)
    expect(await links(machine)).toEqual(['cni0', 'elsewhere', 'lo', 'uplink'])
  })

  test('whose pod network is switched off serves until there is another, and removes its own with the last pod', async () => {
    await using machine = await AgentMachine.start()
    start(machine, '')
    await machine.ready()
    await machine.addPodNamespace('p1')
    expect(await machine.cni('ADD', { containerId: 'p1', netns: 'p1' })).toMatchObject({ code: 0 })
    await machine.killAgent('TERM')

    start(machine, 'podNetwork: false\n')
    await machine.ready()
    await vi.waitFor(
      () =>
        expect(machine.warnings).toContain(
          `podNetwork is off, but a pod has its network from us and ${machine.dir}/net.d holds no other configuration: pods are served until it does`,
        ),
      eventually,
    )
    writeFileSync(join(machine.dir, 'net.d/10-other.conflist'), '{}')
    await vi.waitFor(
      async () => expect(await machine.succeed('ls', [`${machine.dir}/net.d`])).toBe('10-other.conflist\n'),
      eventually,
    )
    expect(await links(machine)).toEqual(['cni0', 'elsewhere', 'fairlead.1', 'lo', 'uplink'])

    expect(await machine.cni('DEL', { containerId: 'p1', netns: 'p1' })).toMatchObject({ code: 0 })
    await vi.waitFor(async () => {
      expect(await machine.succeed('ip', ['-br', 'link'])).not.toMatch(/^(cni0|veth|fairlead)/m)
      expect(await rules(machine)).not.toMatch(/FAIRLEAD-(?!SERVICES)/)
    }, eventually)
    expect([await routes(machine), await links(machine)]).toEqual(['', ['elsewhere', 'lo', 'uplink']])
    // Services go on, and the agent is ready for what it is there for.
    expect(await rules(machine)).toContain('KUBE-SERVICES')
    expect(
      (await machine.run('socat', ['-t5', '-', 'TCP:127.0.0.1:10256'], { input: 'GET /readyz HTTP/1.0\r\n\r\n' }))
        .stdout,
    ).toMatch(/^HTTP\/1\.1 200 /)
    await machine.killAgent('TERM')

    start(machine, 'podNetwork: false\nserviceProxy: false\nhandOver: false\n')
    await vi.waitFor(
      async () => expect(await rules(machine)).not.toMatch(/KUBE-(?!FIREWALL|KUBELET)|FAIRLEAD-/),
      eventually,
    )
  })
})
