// An agent whose node is broken under it: no permission, settings that cannot be written, a full disk, a program that
// is not there. It says what and why, once, serves what it still can, and goes on by itself where that is put right.
import { existsSync } from 'node:fs'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { AgentMachine } from './agent-machine.ts'
import { BrokenPrograms } from './broken-programs.ts'
import { assertReaches } from './reaches.ts'
import { describeKernel } from './scratch.ts'
import { addServices } from './service-machine.ts'

const eventually = { timeout: 60_000, interval: 200 }
const flags = ['--resync-seconds', '1']
const iptablesPrograms = ['nft', 'legacy'].flatMap((backend) =>
  ['', '-restore', '-save'].flatMap((part) => [`iptables-${backend}${part}`, `ip6tables-${backend}${part}`]),
)

describeKernel('an agent on a broken node', () => {
  let machine: AgentMachine
  let services = 0
  let programs: BrokenPrograms
  beforeAll(async () => {
    machine = await AgentMachine.start()
    programs = new BrokenPrograms(machine)
  })
  beforeEach(async () => await addServices(machine, 1, (services = 1)))
  afterEach(async () => {
    for (const kind of [
      '/api/v1/namespaces/default/services/s',
      '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/s',
    ]) {
      for (let n = 1; n <= services; n++)
        await machine.api('DELETE', `${kind}${n}${kind.includes('slices') ? '-1' : ''}`)
    }
    await machine.killAgent()
    await programs.mend()
    await machine.succeed('sh', [
      '-c',
      'umount -l /run/fairlead 2>/dev/null; rm -rf /run/hidden; for t in nat filter mangle; do iptables-nft -t $t -F; iptables-nft -t $t -X; done',
    ])
    await machine.succeed('sh', [
      '-c',
      'for key in ip_forward conf/all/route_localnet; do echo 0 >/proc/sys/net/ipv4/$key; done',
    ])
    await machine.reset()
  })
  afterAll(async () => await machine[Symbol.asyncDispose]())

  const said = (sentence: RegExp): string[] => machine.warnings.filter((message) => sentence.test(message))
  const unready = async (): Promise<string> =>
    (await machine.run('socat', ['-', 'TCP:127.0.0.1:10256'], { input: 'GET /readyz HTTP/1.0\r\n\r\n' })).stdout

  /** Until it is written, in iptables, that the Service is served: the agent goes on with Services. */
  async function assertServed(service: number): Promise<void> {
    await vi.waitFor(
      async () =>
        expect(await machine.succeed('iptables-nft-save', ['-t', 'nat'])).toContain(`"default/s${service} cluster IP"`),
      eventually,
    )
  }

  async function addService(): Promise<number> {
    await addServices(machine, services + 1, services + 1)
    return ++services
  }

  async function addPod(name: string): Promise<Awaited<ReturnType<AgentMachine['cni']>>> {
    await machine.addPodNamespace(name)
    return machine.cni('ADD', { containerId: name, netns: name })
  }

  test('without NET_ADMIN it names the capability; a new node is not announced, what an earlier agent has set up stays', async () => {
    const lead = ['setpriv', '--bounding-set', '-net_admin']
    machine.startAgent({ flags, lead })
    const reason =
      /^This process lacks the capabilities NET_ADMIN \(to change links, routes and rules\): what it cannot change stays as it is; give its container those that deploy\/base lists$/
    await vi.waitFor(
      async () => expect(await unready()).toMatch(/ 503 [^]*not ready: .*(Operation not permitted|EPERM)/),
      eventually,
    )
    const refusal = /^link fairlead\.1 could not be set \(.*Operation not permitted\); it is tried again$/
    // Several passes, one sentence.
    await vi.waitFor(
      async () =>
        expect(
          Number(/reconcile_failures_total\{room="overlay",kind="link"\} (\d+)/.exec(await machine.metrics())?.[1]),
        ).toBeGreaterThan(3),
      eventually,
    )
    expect([said(reason).length, said(refusal).length, existsSync(machine.conflist)]).toEqual([1, 1, false])
    expect(machine.log.filter(({ msg }) => msg === 'repaired')).toEqual([])

    await machine.killAgent('TERM')
    machine.startAgent({ flags })
    await machine.ready()
    expect(await addPod('p1')).toMatchObject({ code: 0 })
    await assertServed(1)
    await machine.killAgent('TERM')
    machine.startAgent({ flags, lead })
    await machine.ready()
    const refused = await addPod('p2')
    expect([refused.exitCode, JSON.stringify(refused.document)]).toEqual([
      1,
      expect.stringContaining('Operation not permitted'),
    ])
    expect(await machine.succeed('ls', ['/run/fairlead/attachments'])).not.toContain('p2')
    expect(await machine.succeed('ip', ['-n', 'p2', '-br', 'link'])).not.toContain('eth0')
    await assertReaches(machine, 'p1', '192.168.99.1')
    await assertServed(1)
  })

  test('with a read-only /proc/sys it names setting and remedy, writes rules and bridge all the same, and serves pods once the setting is right', async () => {
    machine.startAgent({
      flags,
      lead: [
        'unshare',
        '--mount',
        '--propagation',
        'slave',
        'sh',
        '-ec',
        'mount --bind /proc/sys /proc/sys; mount -o remount,bind,ro /proc/sys; exec "$@"',
        'sh',
      ],
    })
    const forwarding =
      /^bridge cni0 is not ready: Cannot set \/proc\/sys\/net\/ipv4\/ip_forward to 1 \(EROFS.*\); mount the node's \/proc\/sys\/net at \/host\/proc\/sys\/net, as deploy\/base does$/
    await vi.waitFor(() => expect(said(forwarding)).toHaveLength(1), eventually)
    expect(await unready()).toMatch(
      / 503 [^]*not ready: bridge cni0 is not ready: Cannot set \/proc\/sys\/net\/ipv4\/ip_forward/,
    )
    expect(await addPod('p1')).toMatchObject({
      code: 11,
      document: { details: expect.stringContaining('ip_forward') as string },
    })
    expect(existsSync(machine.conflist)).toBe(false)
    await assertServed(1)
    await vi.waitFor(
      () =>
        expect(
          said(/^Node ports do not work on 127\.0\.0\.1: Cannot set \/proc\/sys\/net\/ipv4\/conf\/all\/route_localnet/),
        ).toHaveLength(1),
      eventually,
    )
    await vi.waitFor(
      async () => expect(await machine.succeed('iptables-nft-save', ['-t', 'nat'])).toContain('FAIRLEAD-EGRESS'),
      eventually,
    )

    // As a node's own sysctl.d does it. What only helps (arp_notify and the like) stays unset, and is told.
    await machine.succeed('sh', [
      '-c',
      'for key in net/ipv4/ip_forward net/bridge/bridge-nf-call-iptables; do echo 1 >/proc/sys/$key; done',
    ])
    await machine.ready()
    expect(await machine.cni('ADD', { containerId: 'p1', netns: 'p1' })).toMatchObject({ code: 0 })
    await assertReaches(machine, 'p1', '192.168.99.1')
    expect([
      said(forwarding).length,
      said(/^Cannot set \/proc\/sys\/net\/ipv4\/conf\/cni0\/arp_notify to 1 \(EROFS/).length,
    ]).toEqual([1, 1])
  })

  test('with a full disk under /run no pod is half added, those that are there can go, Services go on, and room makes it well again', async () => {
    await machine.succeed('sh', [
      '-ec',
      'mkdir -p /run/fairlead; mount -t tmpfs -o size=64k,mode=700 tmpfs /run/fairlead',
    ])
    machine.startAgent({ flags })
    await machine.ready()
    expect(await addPod('p1')).toMatchObject({ code: 0 })
    await machine.succeed('sh', ['-c', 'cat /dev/zero >/run/fairlead/filler 2>/dev/null; true'])
    const refused = await addPod('p2')
    expect([refused.exitCode, JSON.stringify(refused.document)]).toEqual([1, expect.stringContaining('ENOSPC')])
    expect(await machine.succeed('ls', ['/run/fairlead/attachments'])).not.toContain('p2')
    await vi.waitFor(
      async () => expect(await machine.succeed('ip', ['-n', 'p2', '-br', 'link'])).not.toContain('eth0'),
      eventually,
    )
    await assertServed(await addService())
    await assertReaches(machine, 'p1', '192.168.99.1')
    expect(await machine.cni('DEL', { containerId: 'p1', netns: 'p1' })).toMatchObject({ code: 0 })

    // An agent that starts on it says the same, and serves the same.
    await machine.killAgent()
    await machine.succeed('sh', ['-c', 'cat /dev/zero >>/run/fairlead/filler 2>/dev/null; true'])
    machine.startAgent({ flags })
    await machine.ready()
    await assertServed(await addService())
    expect(JSON.stringify((await machine.cni('ADD', { containerId: 'p2', netns: 'p2' })).document)).toContain('ENOSPC')
    await machine.succeed('rm', ['/run/fairlead/filler'])
    expect(await machine.cni('ADD', { containerId: 'p2', netns: 'p2' })).toMatchObject({ code: 0 })
    expect((await machine.succeed('ls', ['/run/fairlead/attachments'])).trim().split('\n')).toHaveLength(1)
  })

  test('without iptables it says so once, goes on with pods, and writes the rules when it is there', async () => {
    machine.startAgent({ flags })
    await machine.ready()
    await assertServed(1)
    await programs.hide(...iptablesPrograms.filter((name) => name.endsWith('-restore')))
    const earlier = await addService()
    const missing = /^service rules could not be written, trying again: /
    await vi.waitFor(
      () => expect(said(missing)).toEqual([expect.stringMatching(/: iptables-nft-restore: not found$/)]),
      eventually,
    )
    await programs.mend()
    await assertServed(earlier)
    await vi.waitFor(
      () =>
        expect(machine.log.filter(({ msg }) => msg.startsWith('no longer: service rules could not'))).toHaveLength(1),
      eventually,
    )
    await programs.hide(...iptablesPrograms)
    const service = await addService()
    await vi.waitFor(() => expect(said(missing)).toHaveLength(2), eventually)
    const failed = /^A pass over the network failed and is tried again: iptables-nft: not found$/
    // Rules are looked at where somebody has written.
    await machine.succeed('nft', ['add', 'table', 'inet', 'stranger'])
    await vi.waitFor(() => expect(said(failed)).not.toEqual([]), eventually)
    expect(await addPod('p1')).toMatchObject({ code: 0 })
    await assertReaches(machine, 'p1', '10.244.1.1')
    const passes = async (): Promise<number> =>
      Number(/reconcile_seconds_count\{room="pods"\} (\d+)/.exec(await machine.metrics())?.[1])
    const [before, told] = [await passes(), said(failed)]
    await vi.waitFor(async () => expect(await passes()).toBeGreaterThan(before + 3), eventually)
    expect([said(missing).length, said(failed)]).toEqual([2, told])
    await programs.mend()
    await assertServed(service)
    await vi.waitFor(
      () =>
        expect(
          machine.log.filter(({ msg }) => /^no longer: (service rules could not|A pass over)/.test(msg)),
        ).toHaveLength(2 + told.length),
      eventually,
    )
    await machine.succeed('nft', ['delete', 'table', 'inet', 'stranger'])
  })

  test('without conntrack Services go on, and it says what stays', async () => {
    await programs.hide('conntrack')
    await machine.api('POST', '/api/v1/namespaces/default/services', {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'dns' },
      spec: { clusterIP: '10.254.0.53', ports: [{ port: 53, protocol: 'UDP' }] },
    })
    const slice = (addresses: readonly string[]): object => ({
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name: 'dns-1', labels: { 'kubernetes.io/service-name': 'dns' } },
      addressType: 'IPv4',
      ports: [{ name: '', port: 53, protocol: 'UDP' }],
      endpoints: addresses.map((address) => ({ addresses: [address], conditions: { ready: true } })),
    })
    const slices = '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices'
    await machine.api('POST', slices, slice(['10.99.2.3', '10.99.2.4']))
    machine.startAgent({ flags })
    await machine.ready()
    await assertServed(1)
    await machine.api('PUT', `${slices}/dns-1`, slice(['10.99.2.4']))
    await vi.waitFor(
      () =>
        expect(
          said(
            /^conntrack entries of a UDP endpoint that is gone could not be deleted \(conntrack: not found\): clients/,
          ),
        ).toHaveLength(1),
      eventually,
    )
    await assertServed(await addService())
    await machine.api('DELETE', `${slices}/dns-1`)
    await machine.api('DELETE', '/api/v1/namespaces/default/services/dns')
  })

  test('without nft it says so once, refuses pods that policies are about, and goes on with Services', async () => {
    machine.startAgent({ flags: [...flags, '--policy-start-seconds', '1'] })
    await machine.ready()
    expect(await addPod('p1')).toMatchObject({ code: 0 })
    await programs.hide('nft')
    const policies = '/apis/networking.k8s.io/v1/namespaces/default/networkpolicies'
    await machine.api('POST', policies, {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { name: 'closed', namespace: 'default' },
      spec: { podSelector: {} },
    })
    await vi.waitFor(
      () => expect(said(/^policy rules could not be written, trying again: nft: not found$/)).toHaveLength(1),
      eventually,
    )
    expect(await addPod('p2')).toMatchObject({
      code: 11,
      document: {
        msg: 'network policies could not be put in force',
        details: expect.stringContaining('nft: not found') as string,
      },
    })
    await assertServed(await addService())
    expect(said(/^policy rules could not be written/)).toHaveLength(1)
    await programs.mend()
    await vi.waitFor(
      async () => expect(await machine.cni('ADD', { containerId: 'p2', netns: 'p2' })).toMatchObject({ code: 0 }),
      eventually,
    )
    expect(await machine.succeed('nft', ['list', 'map', 'inet', 'fairlead', 'ingress4'])).toMatch(
      /10\.244\.1\.\d+ : jump ingress-[^]*10\.244\.1\.\d+ : jump ingress-/,
    )
    await machine.api('DELETE', `${policies}/closed`)
  })

  test('without ethtool it says that checksum offload stays on, and serves pods', async () => {
    await programs.hide('ethtool')
    machine.startAgent({ flags: [...flags, '--checksum-offload', 'off'] })
    await machine.ready()
    const reason =
      /^Checksum offload of fairlead\.1 could not be switched off \(ethtool: ethtool: not found\); see that ethtool is installed, or set checksumOffload: keep$/
    expect(await addPod('p1')).toMatchObject({ code: 0 })
    await vi.waitFor(
      async () =>
        expect(
          Number(/reconcile_seconds_count\{room="overlay"\} (\d+)/.exec(await machine.metrics())?.[1]),
        ).toBeGreaterThan(3),
      eventually,
    )
    expect(said(reason)).toHaveLength(1)
    await programs.mend()
    await vi.waitFor(
      async () =>
        expect(await machine.succeed('ethtool', ['-k', 'fairlead.1'])).toContain('tx-checksum-ip-generic: off'),
      eventually,
    )
  })

  test('without ip an agent that starts ends with one sentence, and one that runs refuses pods with it and goes on with Services', async () => {
    machine.startAgent({ flags })
    await machine.ready()
    await programs.hide('ip')
    await assertServed(await addService())
    await machine.succeed('mkdir', ['-p', '/run/netns'])
    await machine.succeed('sh', ['-c', 'touch /run/netns/p1 && unshare --net=/run/netns/p1 true'])
    const refused = await machine.cni('ADD', { containerId: 'p1', netns: 'p1' })
    expect([refused.exitCode, JSON.stringify(refused.document)]).toEqual([
      1,
      expect.stringMatching(/ip\b.*(not found|No such file)/),
    ])
    expect(await machine.succeed('ls', ['/run/fairlead/attachments'])).toBe('')
    await machine.killAgent()
    machine.startAgent({ flags })
    await expect(machine.ready()).rejects.toThrow(/fairlead: ip.*not found/)
    await programs.mend()
    machine.startAgent({ flags })
    await machine.ready()
    expect(await machine.cni('ADD', { containerId: 'p1', netns: 'p1' })).toMatchObject({ code: 0 })
  })
})
