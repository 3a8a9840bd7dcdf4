// `fairlead doctor` on a machine of its own: what is broken there is found, each with its remedy, and a healthy node
//   gives no finding.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { join } from 'node:path'
import { AgentMachine } from './agent-machine.ts'
import { describeKernel } from './scratch.ts'

const program = join(import.meta.dirname, '../../bin/fairlead')

interface Check {
  readonly name: string
  readonly skipped?: string
  readonly findings: readonly { problem: string; remedy: string }[]
}

let machine: AgentMachine

async function doctor(): Promise<{ exitCode: number | null; failed: string[]; text: string }> {
  const { exitCode, stdout, stderr } = await machine.run(program, [
    'doctor',
    '-o',
    'json',
    '--cni-conf-dir',
    join(machine.dir, 'net.d'),
  ])
  if (stdout === '') throw new Error(stderr)
  const checks = (JSON.parse(stdout) as Check[]).filter(({ findings }) => findings.length > 0)
  return {
    exitCode,
    failed: checks.map(({ name }) => name),
    text: checks.flatMap(({ findings }) => findings.map(({ problem, remedy }) => `${problem} -> ${remedy}`)).join('\n'),
  }
}

/** While the agent is stopped: it would put most of it right. */
const damages: readonly { breaks: string; how: string; undo: string; check: string; says: RegExp }[] = [
  {
    breaks: 'forwarding',
    how: 'sysctl -qw net.ipv4.ip_forward=0',
    undo: 'sysctl -qw net.ipv4.ip_forward=1',
    check: 'forwarding',
    says: /net\.ipv4\.ip_forward is 0.* -> sysctl -w net\.ipv4\.ip_forward=1/,
  },
  {
    breaks: 'what rules see of the bridge',
    how: 'sysctl -qw net.bridge.bridge-nf-call-iptables=0',
    undo: 'sysctl -qw net.bridge.bridge-nf-call-iptables=1',
    check: 'br_netfilter',
    says: /bridge-nf-call-iptables is 0.* -> sysctl -w net\.bridge\.bridge-nf-call-iptables=1/,
  },
  {
    breaks: 'the reverse-path filter of the bridge',
    how: 'sysctl -qw net/ipv4/conf/cni0/rp_filter=1 net/ipv4/conf/all/rp_filter=0',
    undo: 'sysctl -qw net/ipv4/conf/cni0/rp_filter=2',
    check: 'rp_filter',
    says: /rp_filter of cni0 is strict.* -> sysctl -w net\/ipv4\/conf\/cni0\/rp_filter=2/,
  },
  {
    breaks: 'the reverse-path filter of the tunnel',
    how: 'sysctl -qw net/ipv4/conf/fairlead.1/rp_filter=1',
    undo: 'sysctl -qw net/ipv4/conf/fairlead.1/rp_filter=2',
    check: 'rp_filter',
    says: /rp_filter of fairlead\.1 is strict/,
  },
  {
    breaks: 'our jump, under a policy of DROP',
    how: 'iptables -S FORWARD > /run/forward; iptables -F FORWARD; iptables -P FORWARD DROP',
    undo: "iptables -P FORWARD ACCEPT; grep -e '^-A' /run/forward | sed 's/^/iptables /' | sh",
    check: 'FORWARD',
    says: /FORWARD of iptables-nft has no jump to FAIRLEAD-FORWARD, and its policy is DROP -> /,
  },
  {
    breaks: 'what our jump accepts, by a rule before it',
    how: 'iptables -I FORWARD -s 10.0.0.0/8 -j DROP',
    undo: 'iptables -D FORWARD 1',
    check: 'FORWARD',
    says: /has `-A FORWARD -s 10\.0\.0\.0\/8 -j DROP` before FAIRLEAD-FORWARD -> iptables-nft -D FORWARD -s 10\.0\.0\.0\/8 -j DROP/,
  },
  {
    breaks: 'the choice of one backend',
    how: 'iptables-legacy -A INPUT -s 192.0.2.1 -j ACCEPT',
    undo: 'iptables-legacy -F INPUT',
    check: 'iptables backends',
    says: /1 rules are in iptables-legacy, while those of this node are in iptables-nft.* -> .*update-alternatives/,
  },
  {
    breaks: 'the way out, by a table of another firewall',
    how: "nft 'table inet guard { chain fw { type filter hook forward priority 10; policy drop; }; }'",
    undo: 'nft delete table inet guard',
    check: 'foreign drops',
    says: /table inet guard of nftables drops forwarded packets \(policy of chain fw\) -> .*nft insert rule inet guard/,
  },
  {
    breaks: 'the way out, by firewalld',
    how: "nft 'table inet firewalld { chain filter_FORWARD { type filter hook forward priority 10; ct state established accept; reject with icmpx type admin-prohibited; }; }'",
    undo: 'nft delete table inet firewalld',
    check: 'firewalld',
    says: /firewalld is active .* does not know cni0.* -> firewall-cmd --permanent --zone=trusted --add-interface=cni0/,
  },
  {
    breaks: "the runtime's choice",
    how: 'echo {} > NETD/00-other.conflist',
    undo: 'rm NETD/00-other.conflist',
    check: 'CNI configuration',
    says: /00-other\.conflist comes before ours.* -> remove/,
  },
]

describeKernel('the doctor', () => {
  beforeAll(async () => {
    machine = await AgentMachine.start()
    machine.startAgent()
    await machine.ready()
  })
  afterAll(async () => machine[Symbol.asyncDispose]())

  test('finds nothing on a healthy node', async () => {
    expect(await doctor()).toEqual({ exitCode: 0, failed: [], text: '' })
    const { stdout } = await machine.run(program, ['doctor'])
    expect(stdout).toMatch(/^ok {6}agent\n(ok|skipped) /)
  })

  test('finds networks that overlap, and nodes that claim the same', async () => {
    await machine.putNode('192.168.99.0/25', 'inside', '192.168.99.7')
    await machine.putNode('10.244.1.0/24', 'twin', '192.168.99.8')
    await machine.putNode('10.244.3.0/24', 'away', '192.168.99.9')
    await expect
      .poll(async () => (await doctor()).text, { timeout: 60_000 })
      .toMatch(/podCIDR 192\.168\.99\.0\/25 of node inside overlaps 192\.168\.99\.0\/24, which is on uplink/)
    const { text, failed, exitCode } = await doctor()
    expect(text).toMatch(
      /Node twin has podCIDR 10\.244\.1\.0\/24, of which the older node n1 holds 10\.244\.1\.0\/24, and is left out -> delete one of the two Node objects/,
    )
    expect(text).toMatch(
      /the agent of away does not answer at 192\.168\.99\.9:10256 .* -> see whether away is up and its agent runs/,
    )
    expect(failed).toEqual(expect.arrayContaining(['nodes', 'networks', 'node to node']))
    expect(exitCode).toBe(1)
    for (const name of ['inside', 'twin', 'away']) await machine.api('DELETE', `/api/v1/nodes/${name}`)
  })

  test('finds blocks of cluster IPs among the pods, whether a Service is there or not', async () => {
    const path = '/apis/networking.k8s.io/v1/servicecidrs'
    await machine.api('POST', path, {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'ServiceCIDR',
      metadata: { name: 'among-pods' },
      spec: { cidrs: ['10.244.0.0/20'] },
    })
    expect(await doctor()).toMatchObject({
      failed: ['networks'],
      text: expect.stringMatching(
        /^the block of cluster IPs 10\.244\.0\.0\/20 overlaps 10\.244\.1\.0\/24, which belongs to the pods of node n1 -> give Services another --service-cluster-ip-range/,
      ) as string,
    })
    await machine.api('DELETE', `${path}/among-pods`)
  })

  test('finds a policy that protects nobody, and one that names a port which no pod has', async () => {
    const path = '/apis/networking.k8s.io/v1/namespaces/default/networkpolicies'
    await machine.api('POST', path, {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { name: 'lonely', namespace: 'default' },
      spec: { podSelector: { matchLabels: { app: 'nobody' } }, policyTypes: ['Ingress'] },
    })
    await expect
      .poll(async () => (await doctor()).text, { timeout: 60_000 })
      .toMatch(/^NetworkPolicy default\/lonely selects no pod -> compare its podSelector with kubectl/)
    await machine.api('DELETE', `${path}/lonely`)

    const pod = '/api/v1/namespaces/default/pods'
    await machine.api('POST', pod, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'web', labels: { app: 'web' } },
      spec: {
        nodeName: 'elsewhere',
        containers: [{ name: 'web', image: 'web', ports: [{ name: 'http', containerPort: 80 }] }],
      },
    })
    const ingress = [{ ports: [{ port: 'http' }] }, { ports: [{ port: 'metrics' }] }]
    await machine.api('POST', path, {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { name: 'misnamed', namespace: 'default' },
      spec: { podSelector: { matchLabels: { app: 'web' } }, ingress },
    })
    await expect
      .poll(async () => (await doctor()).text, { timeout: 60_000 })
      .toMatch(
        /^NetworkPolicy default\/misnamed names port metrics\/tcp, which no pod that it is about has: it admits nothing there -> give the container port that name and protocol/,
      )
    await machine.api('DELETE', `${path}/misnamed`)
    await machine.api('DELETE', `${pod}/web`)
  })

  test('has a status beside it: what is programmed, and since when', async () => {
    const { exitCode, stdout } = await machine.run(program, ['status'])
    expect([exitCode, stdout]).toEqual([
      0,
      expect.stringMatching(
        /^node n1: ready\nnetwork: checked \d+ s ago, changed \d+ s ago\ndrift: none since the agent started\noverlay: vxlan, 0 peers\npods: 0 attached to cni0\n {2}10\.244\.1\.0\/24: 0 used, 0 resting, 253 free\nServices: \d+ cluster IPs\n {2}IPv4: \d+ ports, \d+ endpoints, \d+ rules, synced \d+ s ago\nNetworkPolicies: 0; 0 pods of this node isolated, 0 until their labels are known, synced \d+ s ago\n[^]*  nodes +1 {2}watching, heard \d+ s ago/,
      ),
    ])
    expect(JSON.parse((await machine.run(program, ['status', '-o', 'json'])).stdout)).toMatchObject({
      node: 'n1',
      missing: [],
      peers: 0,
      nodes: [{ podCidrs: ['10.244.1.0/24'] }],
    })
    expect(await machine.run(program, ['status', '--state-dir', '/run/nowhere'])).toMatchObject({
      exitCode: 1,
      stderr: expect.stringMatching(/does not answer at \/run\/nowhere\/cni\.sock .*: start it, or name its directory/),
    })
  })

  test('tells in the status what others have changed and the agent has put right, by room', async () => {
    await machine.succeed('sh', [
      '-ec',
      'ip link set fairlead.1 down; ip addr flush dev cni0; iptables -t nat -F; rm /run/fairlead/cni.sock',
    ])
    await expect
      .poll(async () => (await machine.run(program, ['status'])).stdout, { timeout: 60_000 })
      .toMatch(
        new RegExp(
          ['drift, put right since the agent started:', ' +1, last \\d+ s ago: ip link set fairlead\\.1 up'].join(
            '\n[^]*',
          ),
        ),
      )
    const told = async (): Promise<Record<string, string>> => {
      const { repairs } = JSON.parse((await machine.run(program, ['status', '-o', 'json'])).stdout) as {
        repairs: { room: string; last: string }[]
      }
      return Object.fromEntries(repairs.map(({ room, last }) => [room, last]))
    }
    await expect.poll(told, { timeout: 60_000 }).toMatchObject({
      overlay: 'ip link set fairlead.1 up',
      pods: expect.stringMatching(/^ip addr replace 10\.244\.1\.1\/24 /),
      rules: expect.stringMatching(/^nat /),
      services: expect.stringMatching(/^nat /),
      state: 'cni.sock',
    })
  })

  test('finds each thing that is broken under a stopped agent, and that alone', async () => {
    await machine.killAgent('TERM')
    expect((await doctor()).failed).toEqual(['agent'])
    for (const { breaks, how, undo, check, says } of damages) {
      const inside = (script: string): Promise<unknown> =>
        machine.succeed('sh', ['-ec', script.replaceAll('NETD', join(machine.dir, 'net.d'))])
      await inside(how)
      const { failed, text, exitCode } = await doctor()
      expect([breaks, failed, exitCode]).toEqual([breaks, ['agent', check], 1])
      expect([breaks, text]).toEqual([breaks, expect.stringMatching(says)])
      await inside(undo)
    }
    expect((await doctor()).failed).toEqual(['agent'])
  })
})
