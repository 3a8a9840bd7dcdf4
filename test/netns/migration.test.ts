// Taking a node over from the reference plugins: Debian's own bridge and host-local made the pods that are there, and
// they must not notice.
import { existsSync } from 'node:fs'
import { describe, expect, test, vi } from 'vitest'
import { AgentMachine } from './agent-machine.ts'
import { assertReaches } from './reaches.ts'
import { ReferenceNetwork, referencePlugins } from './reference-network.ts'
import { describeKernel } from './scratch.ts'

/** 192.168.99.1, the node's own address. */
const nodeAddress = '192.168.99.1'

async function addNew(machine: AgentMachine, name: string): Promise<string> {
  await machine.addPodNamespace(name)
  return (await machine.cni('ADD', { containerId: name, netns: name })).document.ips?.[0]?.address.split('/')[0] ?? ''
}

async function bridgeAddresses(machine: AgentMachine): Promise<string[]> {
  return (await machine.succeed('ip', ['-4', '-o', 'addr', 'show', 'dev', 'cni0'])).match(/(?<=inet )\S+/g) ?? []
}

/** Addresses, MTU, group and MAC. */
const bridgeOf = (machine: AgentMachine): Promise<string> =>
  machine.succeed('sh', ['-c', 'ip -4 addr show dev cni0; ip -br link show dev cni0'])

const said = (machine: AgentMachine): string[] => machine.log.map(({ msg }) => msg)

const netDir = (machine: AgentMachine): Promise<string> =>
  machine.succeed('sh', ['-c', `cd ${machine.dir}/net.d && grep -H "" * | sort`])

const competitors =
  'mkdir net.d && cd net.d && echo flannel >10-flannel.conflist && echo old >00-old.conflist && echo multus >01-multus.conf && echo text >02-readme.txt'

describeKernel('migration', () => {
  describe.skipIf(!existsSync(`${referencePlugins}/bridge`))(`from the reference plugins (${referencePlugins})`, () => {
    test.each([
      ['its own subnet', '10.9.0.0/24'],
      ["the node's podCIDR, as flannel has it", '10.98.0.0/24'],
    ])('old pods on %s go on beside new ones, and what was theirs leaves with the last of them', async (_, subnet) => {
      await using machine = await AgentMachine.start('10.98.0.0/24')
      const old = await ReferenceNetwork.on(machine, subnet)
      const [first, second] = [await old.add('old1'), await old.add('old2')]
      const gateway = subnet.replace('.0/24', '.1/24')
      expect(await bridgeAddresses(machine)).toEqual([gateway])
      await machine.succeed('sh', ['-c', `cd ${machine.dir} && ${competitors}`])

      // Without takeOver: told, and nothing of theirs touched.
      const before = [await bridgeOf(machine), await netDir(machine)]
      machine.startAgent()
      await vi.waitFor(() => expect(said(machine).join('\n')).toContain("cni0 is another's bridge with 2 ports"), {
        timeout: 60_000,
      })
      expect(said(machine).join('\n')).toContain('or set takeOver to share it until they are gone')
      await machine.killAgent('TERM')
      expect([await bridgeOf(machine), await netDir(machine)]).toEqual(before)

      machine.startAgent({ flags: ['--take-over', 'true'] })
      await machine.ready()
      expect(new Set(await bridgeAddresses(machine))).toEqual(new Set([gateway, '10.98.0.1/24']))
      const fresh = [await addNew(machine, 'new1'), await addNew(machine, 'new2'), await addNew(machine, 'new3')]
      expect(new Set([...fresh, first, second]).size).toBe(5)
      for (const [from, to] of [
        [undefined, first],
        ['old1', second],
        ['old1', fresh[0]],
        ['new1', second],
        ['new2', fresh[2]],
        ['old2', nodeAddress],
      ] as const)
        await assertReaches(machine, from, to ?? '')

      await old.remove('old1')
      await assertReaches(machine, 'old2', fresh[1] ?? '')
      expect(new Set(await bridgeAddresses(machine))).toEqual(new Set([gateway, '10.98.0.1/24']))
      await old.remove('old2')
      await vi.waitFor(async () => expect(await bridgeAddresses(machine)).toEqual(['10.98.0.1/24']), {
        timeout: 60_000,
        interval: 200,
      })
      await assertReaches(machine, 'new1', fresh[2] ?? '')
    })
  })

  test('competing CNI configurations are named, and with takeOver set aside; those behind ours and other files stay', async () => {
    await using machine = await AgentMachine.start('10.98.0.0/24')
    await machine.succeed('sh', ['-c', `cd ${machine.dir} && ${competitors}`])
    machine.startAgent()
    await machine.ready()
    const named = ['00-old.conflist', '01-multus.conf'].map(
      (file) =>
        `${machine.dir}/net.d/${file} comes before our CNI configuration, so the runtime uses it: remove it or set takeOver`,
    )
    await vi.waitFor(() => expect(said(machine).filter((line) => line.includes('comes before'))).toEqual(named), 60_000)
    expect(await machine.succeed('ls', [`${machine.dir}/net.d`])).toBe(
      '00-old.conflist\n01-multus.conf\n02-readme.txt\n05-fairlead.conflist\n10-flannel.conflist\n',
    )
    await machine.killAgent('TERM')

    machine.startAgent({ flags: ['--take-over', 'true'] })
    await vi.waitFor(() => expect(said(machine).filter((line) => line.includes('was set aside'))).toHaveLength(2), {
      timeout: 60_000,
    })
    const ours = (await netDir(machine)).split('\n').filter((line) => !line.startsWith('05-fairlead'))
    expect(ours).toEqual([
      '00-old.conflist.set-aside-by-fairlead:old',
      '01-multus.conf.set-aside-by-fairlead:multus',
      '02-readme.txt:text',
      '10-flannel.conflist:flannel',
      '',
    ])
  })

  test("flannel's device keeps the agent from being ready, with the remedy; its chains and file are told once and left alone", async () => {
    await using machine = await AgentMachine.start('10.98.0.0/24')
    await machine.succeed('sh', [
      '-c',
      [
        'ip link add flannel.1 type vxlan id 1 dstport 8472 local 192.168.99.1 dev uplink nolearning',
        'iptables -t nat -N FLANNEL-POSTRTG',
        'iptables -t nat -A POSTROUTING -j FLANNEL-POSTRTG',
        'iptables -N FLANNEL-FWD',
        'iptables -A FORWARD -j FLANNEL-FWD',
        'mkdir /run/flannel',
        'echo FLANNEL_SUBNET=10.244.7.1/24 >/run/flannel/subnet.env',
      ].join(' && '),
    ])
    machine.startAgent({ flags: ['--resync-seconds', '1'] })
    const conflict =
      'Link flannel.1 already is VXLAN 1 on UDP port 8472, so fairlead.1 cannot be; remove it with `ip link del flannel.1` or set another vni or vxlanPort on every node'
    await vi.waitFor(() => expect(said(machine)).toContain(conflict), { timeout: 60_000 })
    const { stdout } = await machine.run('socat', ['-', 'TCP:127.0.0.1:10256'], {
      input: 'GET /readyz HTTP/1.0\r\n\r\n',
    })
    expect(stdout).toContain(`not ready: ${conflict}`)
    await machine.succeed('ip', ['link', 'del', 'flannel.1'])
    await machine.ready()
    const told = said(machine).filter((line) => line.includes('flannel'))
    expect(told).toEqual([
      "flannel's chains are there: FLANNEL-POSTRTG (iptables -t nat), FLANNEL-FWD (iptables -t filter); they are left alone: remove flannel from this node, then run fairlead cleanup --foreign",
      "/run/flannel/subnet.env is there, by which flannel told its subnet; it is not read: the node's podCIDR is what its Node object says",
      conflict,
      `no longer: ${conflict}`,
    ])
    expect(
      await machine.succeed('sh', [
        '-c',
        'iptables -t nat -S FLANNEL-POSTRTG; iptables -S FLANNEL-FWD; cat /run/flannel/subnet.env',
      ]),
    ).toBe('-N FLANNEL-POSTRTG\n-N FLANNEL-FWD\nFLANNEL_SUBNET=10.244.7.1/24\n')
  })
})
