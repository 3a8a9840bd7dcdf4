// `fairlead cleanup --foreign` on nodes that other networks have left as they leave them: what is theirs goes, and the
//   node is as it was before them.
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { AgentMachine, type Ran } from './agent-machine.ts'
import {
  bystanders,
  flannelLeftovers,
  kindnetLeftovers,
  kubeProxyLeftovers,
  kubeRouterLeftovers,
  pluginLeftovers,
} from './foreign-leftovers.ts'
import { describeKernel } from './scratch.ts'

const fairlead = join(import.meta.dirname, '../../bin/fairlead')

async function stateOf(machine: AgentMachine): Promise<string> {
  return machine.succeed('sh', [
    '-c',
    `
for backend in nft legacy; do
  for family in ip ip6; do
    if [ $backend = nft ] || grep -q . /proc/net/\${family}_tables_names; then \${family}tables-$backend-save | sed 's/ \\[[0-9:]*\\]$//; /^#/d'; fi
  done
done
nft list tables; ipset list -n; ip -br link | awk '{print $1}'; ip -4 -br addr show uplink
for family in 4 6; do ip -$family rule; ip -$family route show table all | grep -v fe80; done
find /run /var/lib ${machine.dir}/net.d | sort`,
  ])
}

async function leave(machine: AgentMachine, backend: string): Promise<void> {
  const confDir = `${machine.dir}/net.d`
  for (const script of [
    flannelLeftovers(backend, confDir),
    pluginLeftovers(backend),
    kindnetLeftovers(backend, confDir),
    kubeRouterLeftovers(backend),
    kubeProxyLeftovers(backend),
  ])
    await machine.succeed('sh', ['-c', script])
}

function cleanUp(machine: AgentMachine, ...flags: readonly string[]): Promise<Ran> {
  return machine.run(fairlead, ['cleanup', '--foreign', '--cni-conf-dir', `${machine.dir}/net.d`, ...flags])
}

const commandsOf = ({ stdout }: Ran): string[] =>
  stdout.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
const keptOf = ({ stdout }: Ran): string[] => stdout.split('\n').filter((line) => line.startsWith('# '))

const nothing = '# nothing that another network left was found on this node'
const notSeen =
  '# processes of the host are not seen from here, so whether one of those programs still runs on it is not known'
/** What looks like a network's among the bystanders. */
const unknown = (backend: string): string[] => [
  ...['iptables', 'ip6tables'].map(
    (program) =>
      `# CILIUM_POST_nat (${program}-${backend} -t nat) stays: it looks like a network's, but of none that is known here`,
  ),
  "# link flannel.9 (veth) stays: it looks like a network's, but of none that is known here",
  '# /var/lib/cni/networks/macvlan stays: no network that is known here has this name',
]

describeKernel('cleanup --foreign', () => {
  test.each(['nft', 'legacy'])(
    'takes away what flannel, kindnet, kube-router, kube-proxy and the plugins left, and nothing else: %s',
    async (backend) => {
      await using machine = await AgentMachine.start()
      await machine.succeed('sh', ['-c', bystanders(backend, `${machine.dir}/net.d`)])
      const before = await stateOf(machine)
      const clean = await cleanUp(machine)
      expect([clean.exitCode, clean.stderr]).toEqual([0, ''])
      expect(keptOf(clean)).toEqual([nothing, ...unknown(backend)])
      expect(await stateOf(machine)).toBe(before)

      await leave(machine, backend)
      const left = await stateOf(machine)
      const planned = await cleanUp(machine, '--dry-run')
      expect([planned.exitCode, planned.stderr]).toEqual([0, ''])
      expect(await stateOf(machine)).toBe(left)
      expect(JSON.parse((await cleanUp(machine, '--dry-run', '-o', 'json')).stdout)).toMatchObject({
        dryRun: true,
        commands: commandsOf(planned),
        failures: [],
      })

      expect(await cleanUp(machine)).toEqual(planned)
      expect(await stateOf(machine)).toBe(before)
      expect(await cleanUp(machine)).toEqual(clean)
    },
  )

  test('what --dry-run prints is a script that does the same, whatever a comment says', async () => {
    await using machine = await AgentMachine.start()
    await machine.succeed('sh', ['-c', bystanders('nft', `${machine.dir}/net.d`)])
    const before = await stateOf(machine)
    await leave(machine, 'nft')
    const { stdout } = await cleanUp(machine, '--dry-run')
    const ran = await machine.run('sh', ['-e'], { input: stdout })
    expect([ran.exitCode, ran.stderr]).toEqual([0, ''])
    expect(await stateOf(machine)).toBe(before)
  })

  test('a pod that lives keeps what is its, and what it is deleted by', async () => {
    await using machine = await AgentMachine.start()
    await machine.succeed('sh', ['-c', `${flannelLeftovers('nft', `${machine.dir}/net.d`)}\n${pluginLeftovers('nft')}`])
    // c1 is gone; c2 lives, with an address, a host port and a wire.
    await machine.succeed('sh', [
      '-c',
      `set -e
ip netns add c2
ip link add veth0123abcd master cni0 type veth peer name eth0 netns c2
printf 'c2\\r\\neth0' >/var/lib/cni/networks/cbr0/10.244.1.3
echo '{}' >/var/lib/cni/flannel/c2
echo '{"networkName":"cbr0","containerId":"c2","netns":"/run/netns/c2"}' >/var/lib/cni/results/cbr0-c2-eth0
iptables-nft -t nat -N CNI-DN-00000000000000000000c
iptables-nft -t nat -A CNI-HOSTPORT-DNAT -p tcp -m comment --comment 'dnat name: "cbr0" id: "c2"' -m multiport --dports 8081 -j CNI-DN-00000000000000000000c
iptables-nft -t nat -A CNI-DN-00000000000000000000c -p tcp -m tcp --dport 8081 -j CNI-HOSTPORT-SETMARK`,
    ])
    const first = await cleanUp(machine)
    expect([first.exitCode, first.stderr]).toEqual([0, ''])
    const confs = `${machine.dir}/net.d/10-flannel.conflist.set-aside-by-fairlead`
    expect(keptOf(first)).toEqual([
      '# CNI-DN-00000000000000000000c (iptables-nft -t nat) stays: pods of the network before live, or are not known to be gone; delete them, then run this again',
      '# cni0 stays: veth0123abcd is on it; delete those pods, then run this again',
      `# ${confs} stays: pods of its network live, or are not known to be gone (10.244.1.3); delete them, then run this again`,
      notSeen,
    ])
    expect(
      await machine.succeed('sh', [
        '-c',
        'iptables-nft-save -t nat | grep -o "^:CNI-[^ ]*"; cd /var/lib/cni; find . -type f | sort',
      ]),
    ).toBe(
      [
        ':CNI-DN-00000000000000000000c',
        ':CNI-HOSTPORT-DNAT',
        ':CNI-HOSTPORT-MASQ',
        ':CNI-HOSTPORT-SETMARK',
        './flannel/c2',
        './networks/cbr0/10.244.1.3',
        './networks/cbr0/last_reserved_ip.0',
        './networks/cbr0/lock',
        './results/cbr0-c2-eth0',
        '',
      ].join('\n'),
    )
    expect(commandsOf(await cleanUp(machine))).toEqual([])
    await machine.removePodNamespace('c2')
    expect(commandsOf(await cleanUp(machine))).toEqual(
      expect.arrayContaining(['ip link del cni0', `rm ${confs}`, 'rmdir /var/lib/cni/networks/cbr0']),
    )
    expect(
      await machine.succeed('sh', [
        '-c',
        'iptables-nft-save -t nat | grep CNI- || find /var/lib/cni /run/flannel -type f || true',
      ]),
    ).toBe('')
  })

  test("what runs keeps what is its, our Services are not a kube-proxy's, and a chain that is in use by a stranger stays", async () => {
    await using machine = await AgentMachine.start()
    const backend = 'nft'
    await machine.succeed('sh', [
      '-c',
      `${kubeRouterLeftovers(backend)}\n${kubeProxyLeftovers(backend)}\n${flannelLeftovers(backend, `${machine.dir}/net.d`)}`,
    ])
    await machine.succeed('sh', [
      '-c',
      `set -e
iptables-nft -t mangle -N FAIRLEAD-SERVICES
iptables-nft -N MINE
iptables-nft -A MINE -j FLANNEL-FWD
for program in kube-router kubelet; do
cp /bin/sleep ${machine.dir}/$program
${machine.dir}/$program 600 >/dev/null 2>&1 &
done`,
    ])
    const cleaned = await cleanUp(machine)
    expect([cleaned.exitCode, cleaned.stderr]).toEqual([0, ''])
    // The kubelet is there: so all of the node's processes are seen.
    expect(keptOf(cleaned)).toEqual([
      '# FLANNEL-FWD (iptables-nft -t filter) stays: a rule of a chain that stays leads to it',
      "# what is kube-router's stays, for it runs on this node: stop it first",
    ])
    const state = await stateOf(machine)
    for (const staying of [
      '-A KUBE-SERVICES -d 10.96.0.1/32',
      ':KUBE-ROUTER-FORWARD',
      'kube-router-pod-subnets',
      'kube-bridge',
      'from 10.55.1.0/24 lookup 77',
      '-A MINE -j FLANNEL-FWD',
    ])
      expect(state).toContain(staying)
    for (const gone of [
      'FLANNEL-POSTRTG',
      'ip kube-proxy',
      'KUBE-CLUSTER-IP',
      'flannel.1',
      '/run/flannel',
      '10-flannel',
    ])
      expect(state).not.toContain(gone)
  })
})
