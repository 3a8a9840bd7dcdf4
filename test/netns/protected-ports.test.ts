// What nodes need for themselves is given to no Service and no host port, and an agent that rules keep from the API
// server takes those away. With protectNodeTraffic off, the same Services take the same ports.
import { renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { type AgentMachine, until } from './agent-machine.ts'
import { rules } from './kube-proxy-player.ts'
import { describeKernel } from './scratch.ts'
import { detectLocalFlags, echoServer, serviceMachine, slice, slicesPath } from './service-machine.ts'

const eventually = { timeout: 60_000, interval: 100 }
const backends = ['nft', 'legacy'] as const
const node = '192.168.99.1'
const node6 = 'fd00:99::1'

/** As a Service of a cluster whose node ports begin at 1,000. */
async function takeEverything(machine: AgentMachine): Promise<void> {
  const port = (name: string, number: number, protocol = 'TCP') => ({
    name,
    port: number,
    nodePort: number,
    protocol,
    targetPort: 8080,
  })
  await machine.store({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'greedy', namespace: 'default', uid: 'u1' },
    spec: {
      type: 'LoadBalancer',
      clusterIP: '10.254.9.9',
      clusterIPs: ['10.254.9.9', 'fd00:254::9'],
      ipFamilies: ['IPv4', 'IPv6'],
      externalIPs: ['192.0.2.7', node6],
      ports: [port('kubelet', 10_250), port('health', 10_256), port('vxlan', 8472, 'UDP'), port('web', 30_080)],
    },
    status: { loadBalancer: { ingress: [{ ip: node }] } },
  })
  const ports = ['kubelet', 'health', 'web'].map((name) => ({ name, port: 8080, protocol: 'TCP' }))
  await machine.api('POST', slicesPath, slice('greedy', ['10.99.2.2'], { ports }))
  const metadata = { name: 'greedy-6', namespace: 'default', labels: { 'kubernetes.io/service-name': 'greedy' } }
  const six = { addressType: 'IPv6', metadata, ports: [...ports, { name: 'vxlan', port: 8080, protocol: 'UDP' }] }
  await machine.api('POST', slicesPath, slice('greedy', ['fd00:99:2::2'], six))
}

/** The Node with addresses of both families. */
async function dualStackNode(machine: AgentMachine): Promise<void> {
  await machine.succeed('ip', ['addr', 'add', `${node6}/64`, 'dev', 'uplink', 'nodad'])
  await machine.api('DELETE', '/api/v1/nodes/n1')
  await machine.api('POST', '/api/v1/nodes', {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: 'n1' },
    spec: { podCIDR: '10.244.1.0/24', podCIDRs: ['10.244.1.0/24'] },
    status: { addresses: [node, node6].map((address) => ({ type: 'InternalIP', address })) },
  })
}

function configure(machine: AgentMachine, text: string): void {
  writeFileSync(join(machine.dir, 'config.new'), text)
  renameSync(join(machine.dir, 'config.new'), join(machine.dir, 'config.yaml'))
}

describeKernel('ports that a node needs', () => {
  test.each(backends)('are given to no Service, by node port or address, in either family: %s', async (backend) => {
    await using machine = await serviceMachine(backend)
    await using _server = echoServer(machine)
    await dualStackNode(machine)
    await takeEverything(machine)
    void machine.run('socat', ['TCP-LISTEN:10250,fork,reuseaddr', 'SYSTEM:echo kubelet'])
    configure(machine, '')
    machine.startAgent({ flags: [...detectLocalFlags, '--config', join(machine.dir, 'config.yaml')] })
    await machine.ready()

    const ask = async (address: string, port: number, question = '') => {
      const words = ['netns', 'exec', 'client', 'socat', '-T1', '-', `TCP:${address}:${port},connect-timeout=1`]
      return (await machine.run('ip', words, { input: question })).stdout.split(/\r?\n/)[0]
    }
    await vi.waitFor(async () => expect(await ask(node, 30_080)).toBe('hello'), eventually)
    const seen = async () => ({
      web: await ask('10.99.1.1', 30_080),
      elsewhere: await ask('192.0.2.7', 10_250),
      kubelet: await ask(node, 10_250),
      kubeletByNodePort: await ask('10.99.1.1', 10_250),
      health: await ask(node, 10_256, 'GET /livez HTTP/1.0\r\n\r\n'),
    })
    const untouched = { kubelet: 'kubelet', kubeletByNodePort: 'kubelet', health: 'HTTP/1.1 200 OK' }
    expect(await seen()).toEqual({ web: 'hello', elsewhere: 'hello', ...untouched })
    // It has no endpoint: as a Service's it would be refused.
    expect(
      (await rules(machine, backend, 'filter')).filter((rule) => / 8472 /.test(rule) && / -d 192\.168/.test(rule)),
    ).toEqual([])
    const six = (await machine.succeed(`ip6tables-${backend}-save`, ['-t', 'nat'])).split('\n')
    expect(six.filter((rule) => rule.includes(`-d ${node6}/128`)).join('\n')).toMatch(/^.*--dport 30080 .*$/)

    const refused = machine.warnings.filter((sentence) => sentence.startsWith('Service default/greedy'))
    const places = refused.map((sentence) => /does not get (.*); give the/.exec(sentence)?.[1] ?? sentence).toSorted()
    const who = {
      kubelet: ['10250/tcp', 'the kubelet'],
      health: ['10256/tcp', "the agent's health endpoint"],
      vxlan: ['8472/udp', 'the VXLAN of the nodes'],
    }
    expect(places).toEqual(
      Object.values(who)
        .flatMap(([port, by]) => [
          `load balancer IP ${node} with port ${port}: ${by} needs it`,
          `external IP ${node6} with port ${port}: ${by} needs it`,
          `node port ${port}: ${by} needs it`,
        ])
        .toSorted(),
    )
    expect(await machine.metrics()).toMatch(
      /fairlead_object_problems\{resource="services",reason="node-port-protected"\} 3/,
    )

    configure(machine, 'protectNodeTraffic: false\n')
    await vi.waitFor(async () => expect(await ask(node, 10_250)).toBe('hello'), eventually)
    expect(await seen()).toMatchObject({ kubelet: 'hello', kubeletByNodePort: 'hello' })
    expect(await ask(node, 10_256)).toBe('hello')
    configure(machine, 'protectNodeTraffic: true\n')
    await vi.waitFor(async () => expect(await seen()).toMatchObject(untouched), eventually)
    await machine.succeed('pkill', ['socat'])
  })

  test('follow the configuration and the Node: another VXLAN port, health port and kubelet', async () => {
    await using machine = await serviceMachine('nft')
    await machine.store({
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name: 'n1', uid: 'n1' },
      spec: { podCIDR: '10.244.1.0/24', podCIDRs: ['10.244.1.0/24'] },
      status: {
        addresses: [{ type: 'InternalIP', address: node }],
        daemonEndpoints: { kubeletEndpoint: { Port: 30_250 } },
      },
    })
    const ports = [30_250, 30_256, 10_250, 10_256].map((port) => ({ name: `p${port}`, port, nodePort: port }))
    const udp = [4789, 8472].map((port) => ({ name: `p${port}`, port, nodePort: port, protocol: 'UDP' }))
    await machine.store({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'greedy', namespace: 'default', uid: 'u1' },
      spec: { type: 'NodePort', clusterIP: '10.254.9.9', ports: [...ports, ...udp] },
    })
    machine.startAgent({
      flags: [...detectLocalFlags, '--vxlan-port', '4789', '--health-address', '0.0.0.0:30256'],
    })
    await machine.ready()
    await until(
      () => machine.warnings.filter((sentence) => sentence.startsWith('Service default/greedy')).length === 3,
      'three refusals',
    )
    const refused = machine.warnings.flatMap((sentence) => /node port (\S+): (.*) needs/.exec(sentence)?.slice(1) ?? [])
    expect(refused.toSorted()).toEqual(
      [
        '30250/tcp',
        'the kubelet',
        '30256/tcp',
        "the agent's health endpoint",
        '4789/udp',
        'the VXLAN of the nodes',
      ].toSorted(),
    )
  })

  test('are published for no pod, which starts all the same', async () => {
    await using machine = await serviceMachine('nft')
    machine.startAgent({ flags: detectLocalFlags })
    await machine.ready()
    await machine.addPodNamespace('p1')
    const mapping = (hostPort: number, protocol: string, hostIP?: string) => ({
      hostPort,
      containerPort: 8080,
      protocol,
      ...(hostIP === undefined ? {} : { hostIP }),
    })
    const portMappings = [
      mapping(8472, 'udp'),
      mapping(10_250, 'tcp'),
      mapping(10_256, 'tcp', node),
      mapping(10_249, 'tcp', '127.0.0.1'),
      // The API server's, at 127.0.0.1.
      mapping(6443, 'tcp'),
      mapping(8080, 'tcp'),
      mapping(10_249, 'tcp', node),
    ]
    const conf = { runtimeConfig: { portMappings } }
    const pod = { containerId: 'p1', netns: 'p1' }
    const { code, document } = await machine.cni('ADD', pod, conf)
    expect({ code, document }).toMatchObject({ code: 0 })
    expect((await machine.cni('CHECK', pod, { ...conf, prevResult: document })).document).toEqual({})
    const published = async () =>
      (await rules(machine, 'nft', 'nat'))
        .flatMap((rule) => /^-A FAIRLEAD-HOSTPORT-DNAT (?:-d (\S+) )?.* --dport (\d+) /.exec(rule)?.slice(1) ?? [])
        .join(' ')
    await vi.waitFor(async () => expect(await published()).toBe(' 8080 192.168.99.1/32 10249'), eventually)
    await until(
      () => machine.warnings.filter((text) => text.startsWith('Pod default/p1')).length === 5,
      'five refusals',
    )
    expect(machine.warnings).toContain(
      'Pod default/p1 does not get host port 8472/udp: the VXLAN of the nodes needs it; give the pod another, or set protectNodeTraffic to false',
    )
    expect(machine.warnings.find((text) => text.includes('6443'))).toContain('the API server needs it')
    expect(await machine.metrics()).toMatch(
      /fairlead_object_problems\{resource="pods",reason="host-port-protected"\} 5/,
    )
    expect((await machine.cni('DEL', pod, conf)).code).toBe(0)
    await until(async () => !(await machine.metrics()).includes('host-port-protected'), 'the refusals to end')
  })
})

/** What an agent that protected nothing would have written, each leading the API server's port to where nobody listens. */
const inTheWay = {
  nat: [
    '-A KUBE-SERVICES -d 127.0.0.1/32 -p tcp -m comment --comment "default/hij external IP" -m tcp --dport 6443 -j KUBE-EXT-6TJOOQR23HJNTL2C',
    '-A KUBE-NODEPORTS -p tcp -m comment --comment "default/hij:https" -m tcp --dport 6443 -j KUBE-EXT-6TJOOQR23HJNTL2C',
    '-A FAIRLEAD-HOSTPORT-DNAT -p tcp -m comment --comment "pod default/hij" -m tcp --dport 6443 -j DNAT --to-destination 127.0.0.1:1',
  ],
  filter: [
    '-A KUBE-EXTERNAL-SERVICES -d 127.0.0.1/32 -p tcp -m comment --comment "default/hij has no endpoints" -m tcp --dport 6443 -j REJECT --reject-with icmp-port-unreachable',
  ],
}
const others = [
  '-A KUBE-SERVICES -d 192.0.2.1/32 -p tcp -m comment --comment "default/hij external IP" -m tcp --dport 6443 -j KUBE-EXT-6TJOOQR23HJNTL2C',
  '-A KUBE-SERVICES -d 127.0.0.1/32 -p tcp -m comment --comment "default/hij external IP" -m tcp --dport 6444 -j KUBE-EXT-6TJOOQR23HJNTL2C',
]
const left = `*nat
:KUBE-SERVICES - [0:0]
:KUBE-NODEPORTS - [0:0]
:KUBE-EXT-6TJOOQR23HJNTL2C - [0:0]
:FAIRLEAD-HOSTPORTS - [0:0]
:FAIRLEAD-HOSTPORT-DNAT - [0:0]
-A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A OUTPUT -m comment --comment "fairlead host ports" -m addrtype --dst-type LOCAL -j FAIRLEAD-HOSTPORTS
-A FAIRLEAD-HOSTPORTS -j FAIRLEAD-HOSTPORT-DNAT
-A KUBE-EXT-6TJOOQR23HJNTL2C -p tcp -j DNAT --to-destination 127.0.0.1:1
${[...inTheWay.nat, ...others].join('\n')}
-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
COMMIT
*filter
:KUBE-EXTERNAL-SERVICES - [0:0]
-A OUTPUT -m conntrack --ctstate NEW -j KUBE-EXTERNAL-SERVICES
${inTheWay.filter.join('\n')}
COMMIT
`

describeKernel('an agent whose node leads the API server elsewhere', () => {
  test.each(backends)('removes those rules, and is ready: %s', async (backend) => {
    await using machine = await serviceMachine(backend)
    expect(await machine.run(`iptables-${backend}-restore`, ['--noflush'], { input: left })).toMatchObject({
      exitCode: 0,
    })
    const reach = ['-u', '/dev/null', 'TCP:127.0.0.1:6443,connect-timeout=1']
    expect((await machine.run('socat', reach)).exitCode).not.toBe(0)
    machine.startAgent({ flags: detectLocalFlags })
    await machine.ready()
    const removals = machine.log.filter(({ msg }) => msg.startsWith('rules that led the address of the API server'))
    expect(removals.map((line) => line.rules?.toSorted())).toEqual([[...inTheWay.nat, ...inTheWay.filter].toSorted()])
    expect((await machine.run('socat', reach)).exitCode).toBe(0)
  })
})
