// A node changes hands with pods on it: from the reference plugins and a kube-proxy to the agent, and back. Old pods
// live on until they are deleted by those who made them; no device, rule or file stays behind on either way.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test, vi } from 'vitest'
import { AgentMachine } from './agent-machine.ts'
import { canaries, chains, kubeProxyCleansUp, kubeProxyRules, kubeProxySyncs, restore } from './kube-proxy-player.ts'
import { assertReaches } from './reaches.ts'
import { ReferenceNetwork, referencePlugins } from './reference-network.ts'
import { describeKernel } from './scratch.ts'
import { addServices } from './service-machine.ts'

const fairlead = join(import.meta.dirname, '../../bin/fairlead')
const flags = ['--take-over', 'true', '--detect-local', 'clusterCIDR', '--cluster-cidr', '10.244.0.0/16']
const hostPort = 8080
/** The uplink's. */
const nodeAddress = '192.168.99.1'

/** All that either of them makes on a node, counters aside. */
async function stateOf(machine: AgentMachine): Promise<string[]> {
  return (
    await machine.succeed('sh', [
      '-c',
      `
for backend in nft legacy; do
  for family in ip ip6; do
    if [ $backend = nft ] || grep -q . /proc/net/\${family}_tables_names; then
      for table in nat filter mangle; do \${family}tables-$backend-save -t $table | sed "/^#/d; s/ \\[[0-9:]*\\]$//; s/^/$table: /" | grep -e '-A ' -e ': :[^ ]* -$'; done
    fi
  done
done
ip -br link | awk '{print $1}'; ip -4 -o addr | awk '{print $2, $4}'; ip -4 route; ip -4 rule
find /var/lib/cni /run/fairlead ${machine.dir}/net.d -type f 2>/dev/null; true`,
    ])
  )
    .split('\n')
    .toSorted()
}

async function cleanUp(machine: AgentMachine, ...more: readonly string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await machine.run(fairlead, [
    'cleanup',
    '--cni-bin-dir',
    `${machine.dir}/bin`,
    '--cni-conf-dir',
    `${machine.dir}/net.d`,
    ...more,
  ])
  expect([exitCode, stderr]).toEqual([0, ''])
  return stdout
}

describeKernel('a node of the reference plugins and a kube-proxy', () => {
  describe.skipIf(!existsSync(`${referencePlugins}/bridge`))(`(${referencePlugins})`, () => {
    test.each(['nft', 'legacy'] as const)(
      'goes to the agent and back, and nothing stays behind: %s',
      async (backend) => {
        await using machine = await AgentMachine.start('10.98.0.0/24')
        const old = await ReferenceNetwork.on(machine, '10.9.0.0/24', backend)
        // Kubelet's: they say which backend the node uses.
        await machine.succeed('sh', [
          '-c',
          `iptables-${backend} -t mangle -N KUBE-KUBELET-CANARY && mkdir ${machine.dir}/net.d`,
        ])
        const bare = await stateOf(machine)
        await addServices(machine, 1, 3)
        await restore(machine, backend, (await kubeProxyRules(machine)) + canaries)
        await machine.succeed('sh', ['-c', `printf %s "$1" >${machine.dir}/net.d/00-old.conflist`, 'sh', old.conflist])
        const proxied = await stateOf(machine)

        // Pods of theirs: one that is deleted as it should be, one with a host port, and one whose namespace goes
        // without a DEL.
        const first = await old.add('old1')
        await old.add('old2', { hostPort })
        await old.add('old3')

        machine.startAgent({ flags })
        await machine.ready()
        await vi.waitFor(async () => expect(await chains(machine, backend, 'mangle')).toContain('FAIRLEAD-SERVICES'), {
          timeout: 60_000,
          interval: 100,
        })
        await machine.addPodNamespace('new1')
        expect(await machine.cni('ADD', { containerId: 'new1', netns: 'new1' })).toMatchObject({ code: 0 })
        await assertReaches(machine, 'new1', first)

        // With pods of theirs on it there is nothing to remove yet, and the Services are ours.
        expect(
          (await cleanUp(machine, '--foreign')).split('\n').filter((line) => line !== '' && !line.startsWith('#')),
        ).toEqual([])
        await assertReaches(machine, 'new1', first)
        await old.remove('old1')
        await old.remove('old2', { hostPort })
        await machine.removePodNamespace('old3')
        await vi.waitFor(
          async () =>
            expect(
              (await machine.succeed('ip', ['-4', '-o', 'addr', 'show', 'dev', 'cni0'])).match(/(?<=inet )\S+/g),
            ).toEqual(['10.98.0.1/24']),
          { timeout: 60_000, interval: 200 },
        )
        expect(await cleanUp(machine, '--foreign')).toMatch(
          /-X CNI-[0-9a-f]{24}\n[^]*rm \/var\/lib\/cni\/networks\/old\/10\.9\.0\.4\n/,
        )
        const ours = await stateOf(machine)
        expect(ours.filter((line) => /CNI-|10\.9\.0|veth[0-9a-f]{8}@|\/var\/lib\/cni\//.test(line))).toEqual([])
        expect(ours.filter((line) => line.includes('KUBE-SVC-'))).toEqual(
          proxied.filter((line) => line.includes('KUBE-SVC-')),
        )
        await assertReaches(machine, 'new1', nodeAddress)

        // And back.
        expect(await machine.cni('DEL', { containerId: 'new1', netns: 'new1' })).toMatchObject({ code: 0 })
        await machine.removePodNamespace('new1')
        await machine.killAgent('TERM')
        await cleanUp(machine, '--keep-services')
        await machine.succeed('mv', [
          `${machine.dir}/net.d/00-old.conflist.set-aside-by-fairlead`,
          `${machine.dir}/net.d/00-old.conflist`,
        ])
        await kubeProxySyncs(machine, backend)
        // The agent removes kube-proxy's canaries when it takes over; kube-proxy creates them when it starts.
        expect(await stateOf(machine)).toEqual(proxied.filter((line) => !line.includes(':KUBE-PROXY-CANARY ')))
        await old.add('old4', { hostPort })
        await assertReaches(machine, 'old4', nodeAddress)
        await old.remove('old4', { hostPort })

        // Theirs leaves as ours does.
        await kubeProxyCleansUp(machine, backend)
        await cleanUp(machine, '--foreign')
        await machine.succeed('rm', [`${machine.dir}/net.d/00-old.conflist`])
        expect((await stateOf(machine)).filter((line) => !line.includes('KUBE-FIREWALL'))).toEqual(bare)
      },
    )
  })
})
