// Explicit nulls in objects of every kind that the agent watches, and in a runtime's configuration: each counts as an
// absent field, a null in a list is reported once, and packets go where the rest of the object leads. The API server
// would decode the nulls away, so they are put into its store.
import { expect, test, vi } from 'vitest'
import { AgentMachine } from './agent-machine.ts'
import { describeKernel } from './scratch.ts'
import { detectLocalFlags, echoServer, serviceMachine } from './service-machine.ts'

const created = { namespace: 'default', creationTimestamp: '2026-01-01T00:00:00Z', annotations: null, finalizers: null }

async function connects(machine: AgentMachine, namespace: string, to: string): Promise<boolean> {
  const target = `TCP:${to},connect-timeout=2`
  const { stdout } = await machine.run('ip', ['netns', 'exec', namespace, 'socat', '-T2', '-', target])
  return stdout.includes('hello')
}

describeKernel('explicit nulls', () => {
  test('in a Node, a Namespace, a Service and a slice are absent, and the Service is served', async () => {
    await using machine = await serviceMachine('nft')
    await using _server = echoServer(machine)
    const nulls = { clusterIPs: null, externalIPs: null, loadBalancerSourceRanges: null, sessionAffinity: null }
    await machine.store({
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name: 'n1', labels: null },
      spec: { podCIDR: '10.244.1.0/24', podCIDRs: null, taints: null },
      status: { addresses: [null, { type: 'InternalIP', address: '192.168.99.1' }], conditions: null },
    })
    await machine.store({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { ...created, name: 'web', labels: null },
      spec: { ...nulls, clusterIP: '10.254.1.1', ports: [null, { port: 80, nodePort: null, protocol: null }] },
      status: null,
    })
    await machine.store({
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { ...created, name: 'web-1', labels: { 'kubernetes.io/service-name': 'web' } },
      addressType: 'IPv4',
      ports: [{ name: null, port: 8080, protocol: null }],
      endpoints: [null, { addresses: ['10.99.2.2'], conditions: { ready: null }, hints: null, nodeName: null }],
    })
    machine.startAgent({ flags: detectLocalFlags })
    await machine.ready()
    await vi.waitFor(async () => expect(await connects(machine, 'client', '10.254.1.1:80')).toBe(true), {
      timeout: 60_000,
      interval: 100,
    })
    expect(machine.warnings.filter((warning) => warning.includes('null')).toSorted()).toEqual([
      'EndpointSlice default/web-1: endpoints[0] is null and is left out',
      'Node n1: status.addresses[0] is null and is left out',
      'Service default/web: spec.ports[0] is null and is left out',
    ])
  })

  test('in a policy, a pod and its ADD: fields are absent, and what a null would open stays closed', async () => {
    await using machine = await AgentMachine.start()
    const address = new Map<string, string>()
    const policy = (name: string, spec: object) => ({
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { ...created, name, labels: null },
      spec,
    })
    const admit = { protocol: null, port: 8080, endPort: null }
    await machine.store(
      policy('web', {
        podSelector: { matchLabels: { app: 'web' }, matchExpressions: null },
        policyTypes: null,
        egress: null,
        ingress: [
          { from: [{ podSelector: { matchLabels: { app: 'client' } }, namespaceSelector: null }], ports: [admit] },
          { from: [{ podSelector: { matchLabels: { app: null } } }, null], ports: null },
          null,
        ],
      }),
    )
    machine.startAgent({ flags: ['--service-proxy', 'false'] })
    await machine.ready()
    for (const name of ['web', 'client', 'other']) {
      await machine.store({
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { ...created, name, uid: name, labels: { app: name } },
        spec: { nodeName: 'n1', hostNetwork: null, initContainers: null, containers: [{ name: 'c', ports: null }] },
        status: { phase: null, podIP: null, podIPs: null },
      })
      await machine.addPodNamespace(name)
      const portMappings = name === 'web' ? [null, { hostPort: 9090, containerPort: 8080, hostIP: null }] : null
      const runtimeConfig = { portMappings, bandwidth: { ingressRate: null, ingressBurst: null } }
      const pod = { containerId: name, netns: name }
      const { document } = await machine.cni('ADD', pod, { prevResult: null, runtimeConfig })
      address.set(name, String(document.ips?.[0]?.address.split('/')[0]))
    }
    const serve = 'socat TCP-LISTEN:8080,fork,reuseaddr "SYSTEM:echo hello" & echo $! >/run/echo; wait'
    const serving = machine.run('ip', ['netns', 'exec', 'web', 'sh', '-c', serve])
    await vi.waitFor(async () => expect(await connects(machine, 'client', `${address.get('web')}:8080`)).toBe(true), {
      timeout: 60_000,
      interval: 100,
    })
    expect(await connects(machine, 'other', `${address.get('web')}:8080`)).toBe(false)
    expect(await connects(machine, 'client', '192.168.99.1:9090')).toBe(true)
    expect(machine.warnings.filter((warning) => warning.includes('null'))).toEqual([
      expect.stringContaining('spec.ingress[1].from[0] admits nothing'),
      expect.stringContaining('spec.ingress[1].from[1] admits nothing'),
      expect.stringContaining('spec.ingress[2] admits nothing'),
    ])
    await machine.succeed('sh', ['-c', 'kill $(cat /run/echo)'])
    await serving
  })
})
