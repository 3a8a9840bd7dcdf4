// `fairlead cleanup` as an operator runs it: on the node of a real agent, which is afterwards as it was before there
//   was one. Both backends of iptables.
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { AgentMachine, type Ran } from './agent-machine.ts'
import { describeKernel } from './scratch.ts'

const fairlead = join(import.meta.dirname, '../../bin/fairlead')

/**
 * What else is on a node: kubelet's chains, Docker's, somebody's own; links and routes that look a little like ours.
 */
const others = (backend: string): string => `set -e
for iptables in iptables-${backend} ip6tables-${backend}; do
  $iptables -t mangle -N KUBE-KUBELET-CANARY
  $iptables -t mangle -N KUBE-IPTABLES-HINT
  $iptables -N KUBE-FIREWALL
  $iptables -I INPUT -j KUBE-FIREWALL
  $iptables -I OUTPUT -j KUBE-FIREWALL
  $iptables -N DOCKER
  $iptables -A FORWARD -o docker0 -j DOCKER
  $iptables -t nat -N KUBE-LOAD-BALANCER
  $iptables -t nat -N FAIRLEADER
  $iptables -t nat -A POSTROUTING -m comment --comment "FAIRLEAD-EGRESS is another thing" -j FAIRLEADER
done
iptables-${backend} -A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment --comment "block incoming localnet connections" -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP
ip link add docker0 type bridge
ip link add vethalien master docker0 type veth peer name alien
ip link set alien up
ip link set vethalien up
ip addr add 192.168.77.1/24 dev alien
ip route add 10.244.9.0/24 via 192.168.77.9 proto 99`

async function stateOf(machine: AgentMachine, backend: string): Promise<string> {
  const script = `
for family in iptables ip6tables; do $family-${backend}-save | sed 's/ \\[[0-9:]*\\]$//; /^#/d'; done
ip -br link | awk '{print $1}'
nft list tables inet
ip route; ip -6 route show proto 98; ip route show table all proto 98
find /run/fairlead ${machine.dir}/bin ${machine.dir}/net.d 2>/dev/null; true`
  return machine.succeed('sh', ['-c', script])
}

function cleanup(machine: AgentMachine, ...flags: readonly string[]): Promise<Ran> {
  return machine.run(fairlead, [
    'cleanup',
    '--cni-bin-dir',
    `${machine.dir}/bin`,
    '--cni-conf-dir',
    `${machine.dir}/net.d`,
    ...flags,
  ])
}

const commandsOf = ({ stdout }: Ran): string[] =>
  stdout.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
const keptOf = ({ stdout }: Ran): string[] => stdout.split('\n').filter((line) => line.startsWith('# '))

/** More Services than a flat layout is used for, a peer, and a pod with a host port and a limit. */
async function populate(machine: AgentMachine, backend: string): Promise<void> {
  for (let n = 1; n <= 70; n++) {
    await machine.api('POST', '/api/v1/namespaces/default/services', {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: `s${n}` },
      spec: { clusterIP: `10.254.1.${n}`, ports: [{ port: 80 }] },
    })
    await machine.api('POST', '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices', {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name: `s${n}-1`, labels: { 'kubernetes.io/service-name': `s${n}` } },
      addressType: 'IPv4',
      ports: [{ name: '', port: 80, protocol: 'TCP' }],
      endpoints: [{ addresses: ['10.244.2.7'], conditions: { ready: true } }],
    })
  }
  await machine.putNode('10.244.2.0/24', 'n2', '192.168.99.2')
  await machine.addPodNamespace('pod')
  expect(
    await machine.cni(
      'ADD',
      { containerId: 'pod', netns: 'pod' },
      {
        runtimeConfig: {
          portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }],
          bandwidth: { egressRate: 1e8, egressBurst: 1e8 },
        },
      },
    ),
  ).toMatchObject({ exitCode: 0 })
  // The pod has no object: it is held, which takes a table.
  await machine.api('POST', '/apis/networking.k8s.io/v1/namespaces/default/networkpolicies', {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: 'deny' },
    spec: { podSelector: {} },
  })
  await vi.waitFor(
    async () => {
      const rules = await machine.succeed('sh', [
        '-c',
        `iptables-${backend}-save; ip -br link; ip route; nft list tables`,
      ])
      for (const part of [
        'table inet fairlead',
        'KUBE-SVC-CIP-',
        'default/s70 ',
        'FAIRLEAD-EGRESS',
        '--dport 8080',
        'fairlead.1',
        'ifb',
        '10.244.2.0/24 via',
      ])
        expect(rules).toContain(part)
    },
    { timeout: 60_000, interval: 200 },
  )
}

describeKernel('cleanup', () => {
  test.each(['nft', 'legacy'])(
    'leaves the node as it was before the agent, and nothing of others is touched: %s',
    async (backend) => {
      await using machine = await AgentMachine.start()
      await machine.succeed('sh', ['-c', others(backend)])
      const before = await stateOf(machine, backend)
      await machine.succeed(fairlead, [
        'install',
        '--cni-bin-dir',
        `${machine.dir}/bin`,
        '--cni-conf-dir',
        `${machine.dir}/net.d`,
      ])
      machine.startAgent()
      await machine.ready()
      await populate(machine, backend)

      const refused = await cleanup(machine)
      expect([refused.exitCode, refused.stdout]).toEqual([1, ''])
      expect(refused.stderr).toMatch(
        /^fairlead: A fairlead agent runs on this node \(it holds \/run\/fairlead\/lock\).*\n$/,
      )
      expect(await cleanup(machine, '--dry-run')).toMatchObject({ exitCode: 0, stderr: '' })
      await machine.killAgent('TERM')

      // Another program has put a port on our bridge meanwhile.
      await machine.succeed('ip', ['link', 'set', 'vethalien', 'master', 'cni0'])
      const standing = await stateOf(machine, backend)
      const planned = await cleanup(machine, '--dry-run')
      expect(await stateOf(machine, backend)).toBe(standing)
      expect(commandsOf(planned)).toEqual(
        expect.arrayContaining([
          `iptables-${backend} -t nat -X FAIRLEAD-HOSTPORTS`,
          `iptables-${backend} -t mangle -X FAIRLEAD-SERVICES`,
          'ip route del 10.244.2.0/24 dev fairlead.1 proto 98',
          'ip link del fairlead.1',
        ]),
      )
      expect(JSON.parse((await cleanup(machine, '--dry-run', '-o', 'json')).stdout)).toMatchObject({
        dryRun: true,
        commands: commandsOf(planned),
        failures: [],
      })

      const first = await cleanup(machine)
      expect([first.exitCode, first.stderr, first.stdout]).toEqual([0, '', planned.stdout])
      const [firewall, bridge, plugin] = keptOf(first)
      expect(firewall).toContain('KUBE-FIREWALL (iptables) stays')
      expect(bridge).toContain('cni0 stays with its addresses: another program has ports on it (vethalien)')
      expect(plugin).toContain('stay: a pod of ours still has to be deleted through them')
      expect(await machine.cni('DEL', { containerId: 'pod', netns: 'pod' })).toMatchObject({ exitCode: 0 })

      // It waits for as long as the pod is there, and that alone.
      expect(commandsOf(await cleanup(machine))).toEqual([])
      await machine.removePodNamespace('pod')
      await machine.succeed('ip', ['link', 'set', 'vethalien', 'master', 'docker0'])
      const last = await cleanup(machine)
      expect([last.exitCode, commandsOf(last)[0], commandsOf(last).at(-1)]).toEqual([
        0,
        'ip link del cni0',
        'rmdir /run/fairlead',
      ])
      await machine.succeed('rmdir', [`${machine.dir}/bin`, `${machine.dir}/net.d`])
      expect(await stateOf(machine, backend)).toBe(before)
      expect(await cleanup(machine)).toEqual({
        exitCode: 0,
        stdout: '# nothing of Fairlead is left to remove on this node\n',
        stderr: '',
      })
    },
  )

  test('what --dry-run prints is a script that does the same', async () => {
    await using machine = await AgentMachine.start()
    await machine.succeed('sh', ['-c', others('nft')])
    machine.startAgent()
    await machine.ready()
    await populate(machine, 'nft')
    await machine.killAgent('TERM')
    const { stdout } = await cleanup(machine, '--dry-run', '--purge')
    const ran = await machine.run('sh', ['-e'], { input: stdout })
    expect([ran.exitCode, ran.stderr]).toEqual([0, ''])
    expect(commandsOf(await cleanup(machine, '--purge'))).toEqual([])
  })

  test('rules that an agent left in the other backend are found too', async () => {
    await using machine = await AgentMachine.start()
    await machine.succeed('sh', ['-c', others('legacy')])
    const before = await stateOf(machine, 'legacy')
    machine.startAgent()
    await machine.ready()
    await vi.waitFor(
      async () => expect(await machine.succeed('iptables-legacy', ['-t', 'nat', '-S'])).toContain('KUBE-POSTROUTING'),
      { timeout: 60_000, interval: 200 },
    )
    await machine.killAgent('TERM')
    // From now on the node says nft.
    await machine.succeed('iptables-nft', ['-t', 'mangle', '-N', 'KUBE-IPTABLES-HINT'])
    expect((await cleanup(machine)).exitCode).toBe(0)
    await machine.succeed('rmdir', [`${machine.dir}/net.d`])
    expect(await stateOf(machine, 'legacy')).toBe(before)
  })

  test('a rule of others that leads into a chain of ours keeps it; that is told, everything else goes, and it ends with 1', async () => {
    await using machine = await AgentMachine.start()
    machine.startAgent()
    await machine.ready()
    await machine.killAgent('TERM')
    await machine.succeed('iptables', ['-t', 'filter', '-N', 'MINE'])
    await machine.succeed('iptables', ['-t', 'filter', '-A', 'MINE', '-j', 'FAIRLEAD-FORWARD'])
    const { exitCode, stderr } = await cleanup(machine)
    expect([exitCode, stderr.split('\n').length]).toEqual([1, 2])
    expect(stderr).toContain('iptables-nft-restore')
    expect(await machine.succeed('ip', ['-br', 'link'])).not.toMatch(/cni0|fairlead\.1/)
    await machine.succeed('iptables', ['-t', 'filter', '-F', 'MINE'])
    expect(await cleanup(machine)).toMatchObject({ exitCode: 0, stderr: '' })
    expect(await machine.succeed('iptables-nft-save', [])).not.toContain('FAIRLEAD')
  })
})
