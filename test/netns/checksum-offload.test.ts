// checksumOffload: auto, between an agent and a node whose card it cannot trust: what leaves the agent's node with its
// checksum left to the card arrives without one. A program that copies frames from one wire to another is such a card:
// it knows nothing of what a kernel has put off.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { AgentMachine } from './agent-machine.ts'
import { describeKernel } from './scratch.ts'

const eventually = { timeout: 60_000, interval: 200 }
const fairlead = join(import.meta.dirname, '../../bin/fairlead')
const probeProcess = join(import.meta.dirname, 'probe-process.ts')
const peerMac = '02:58:0a:f4:02:00'
const ownMac = '02:58:0a:f4:01:00'

/**
 * Node n2 behind the card. Cards do the ordinary checksums right, as outside of the tunnel; of the tunnel's own, which
 * are beside the point, none is looked at.
 */
const peer = `
ip netns add card; ip netns add n2
ip link set elsewhere netns card
ip -n card link add out type veth peer name uplink netns n2
ip -n card link set elsewhere up; ip -n card link set out up
ethtool -K uplink tso off gso off gro off >/dev/null || true
iptables-nft -t mangle -A POSTROUTING -o uplink -p tcp -j CHECKSUM --checksum-fill
ip netns exec n2 sh -ec '
ip link set lo up
ethtool -K uplink tx off >/dev/null
ip addr add 192.168.99.2/24 dev uplink; ip link set uplink up
ip link add fairlead.1 address ${peerMac} type vxlan id 1 dstport 8472 local 192.168.99.2 dev uplink nolearning
ip addr add 10.244.2.0/32 dev fairlead.1; ip addr add 10.244.2.1/32 dev lo; ip link set fairlead.1 up
ip neigh replace 10.244.1.0 lladdr ${ownMac} dev fairlead.1 nud permanent
bridge fdb replace ${ownMac} dev fairlead.1 dst 192.168.99.1 self permanent
ip route replace 10.244.1.0/24 via 10.244.1.0 dev fairlead.1 onlink
nft "table netdev outer { chain in { type filter hook ingress device uplink priority 0; udp dport 8472 udp checksum set 0; }; }"'`

describeKernel('a card that miscalculates what goes into the tunnel', () => {
  test('is found by an exchange with another node, made up for, also on a new device, and trusted again when told so', async () => {
    await using machine = await AgentMachine.start()
    await machine.succeed('sh', ['-ec', peer])
    const inPeer = (...command: string[]): Promise<unknown> => machine.run('ip', ['netns', 'exec', ...command])
    // They end with the machine.
    void inPeer('card', 'socat', 'INTERFACE:elsewhere', 'INTERFACE:out')
    void inPeer('n2', process.execPath, probeProcess, 'answer')
    await machine.putNode('10.244.2.0/24', 'n2', '192.168.99.2')
    const config = join(machine.dir, 'fairlead.yaml')
    const offload = async (): Promise<string | undefined> =>
      /tx-checksum-ip-generic: (on|off)/.exec((await machine.run('ethtool', ['-k', 'fairlead.1'])).stdout)?.[1]
    const status = async (): Promise<string | undefined> =>
      /^ {2}checksum offload of fairlead\.1: (.*)$/m.exec(await machine.succeed(fairlead, ['status']))?.[1]
    const reaches = async (): Promise<boolean> =>
      (
        await machine.run('socat', ['-T5', '-', 'TCP:10.244.2.1:10256,connect-timeout=3'], {
          input: 'GET /livez HTTP/1.0\r\n\r\n',
        })
      ).stdout.includes(' 200 ')

    writeFileSync(config, 'checksumOffload: keep\n')
    machine.startAgent({ flags: ['--config', config] })
    await machine.ready()
    expect([await offload(), await reaches()]).toEqual(['on', false])
    expect(await status()).toBeUndefined()

    writeFileSync(config, 'checksumOffload: auto\n')
    const found =
      /^The network card miscalculates checksums: what goes to n2 through the tunnel arrives there with wrong checksums\. fairlead\.1 computes them from now on, and n2 is reached/
    await vi.waitFor(
      () => expect(machine.warnings.filter((sentence) => found.test(sentence))).toHaveLength(1),
      eventually,
    )
    expect([await offload(), await reaches()]).toEqual(['off', true])
    expect(await status()).toBe('off (checksumOffload: auto, because the network card miscalculates)')
    expect(machine.log.find(({ msg }) => found.test(msg))?.command).toBe(
      'ethtool -K fairlead.1 tx-checksum-ip-generic off',
    )

    await machine.succeed('ip', ['link', 'del', 'fairlead.1'])
    await vi.waitFor(async () => expect([await offload(), await reaches()]).toEqual(['off', true]), eventually)
    // The next agent finds it so, and leaves it.
    await machine.killAgent()
    machine.startAgent({ flags: ['--config', config] })
    await machine.ready()
    expect(await offload()).toBe('off')

    writeFileSync(config, 'checksumOffload: keep\n')
    await vi.waitFor(async () => expect(await offload()).toBe('on'), eventually)
    expect(await machine.succeed('ip', ['link', 'show', 'fairlead.1'])).not.toContain('alias')
    await machine.succeed('ethtool', ['-K', 'fairlead.1', 'tx-checksum-ip-generic', 'off'])
    expect(await status()).toBe('off (by another program)')
    writeFileSync(config, 'checksumOffload: off\n')
    await vi.waitFor(async () => expect(await status()).toBe('off (checksumOffload: off)'), eventually)
  })
})
