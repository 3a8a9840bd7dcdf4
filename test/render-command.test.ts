// `fairlead render` as a person runs it: from manifests to rules, with neither a kernel nor an API server.
import { spawnSync } from 'node:child_process'
import { resolve } from 'node:path'
import { describe, expect, test } from 'vitest'

const root = resolve(import.meta.dirname, '..')
const pair = ['-f', 'docs/examples/textbook-pair.yaml', '-f', 'docs/examples/textbook-pair-cluster.yaml']

function render(args: readonly string[], input = ''): { code: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['cmd/fairlead/main.ts', 'render', ...args], {
    cwd: root,
    input,
    encoding: 'utf8',
  })
  return { code: status, stdout, stderr }
}

describe('the textbook pair', () => {
  test.each(['tree', 'flat'])(
    'is two Services with three endpoints each; so few frontends are laid out as kube-proxy does, also as a %s',
    async (layout) => {
      const { code, stdout, stderr } = render([
        ...pair,
        '--node',
        'node1',
        '--cluster-cidr',
        '172.30.0.0/16',
        '--layout',
        layout,
      ])
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
      await expect(stdout).toMatchFileSnapshot('../src/services/golden/textbook-pair.rules')
      const drawn = stdout
        .split('\n')
        .filter((line) => line.startsWith('-A KUBE-SVC-') && line.includes('data-product ->'))
      expect(drawn.map((line) => /--probability (\S+)/.exec(line)?.[1])).toEqual([
        '0.33333333349',
        '0.50000000000',
        undefined,
      ])
    },
  )

  test('for programs, chain by chain', () => {
    const { stdout } = render([...pair, '--node', 'node2', '-o', 'json'])
    expect(JSON.parse(stdout)).toMatchObject({
      families: [
        {
          family: 4,
          nat: {
            'KUBE-NODEPORTS': [
              '-p tcp -m comment --comment "default/business-manager" -m tcp --dport 30799 -j KUBE-EXT-CEKGGAY46JSICIPM',
            ],
          },
        },
      ],
      problems: [],
    })
  })
})

test('what has no rules is said, and the rest is rendered', () => {
  const manifests = `
kind: Service
apiVersion: v1
metadata: { name: web }
spec: { ports: [{ port: 80 }] }
---
kind: Service
apiVersion: v1
metadata: { name: api }
spec: { clusterIP: 10.254.0.9, ports: [{ port: 80 }, { name: bad, port: 0 }] }
`
  const { code, stdout, stderr } = render(['-f', '-', '--node', 'any'], manifests)
  expect(code).toBe(0)
  expect(stderr.split('\n')).toEqual([
    'fairlead: Service default/web has no rules without an address: give it a spec.clusterIP, as the API server would',
    'fairlead: Service default/api: spec.ports `{"name":"bad","port":0}` is left out: Expected a port from 1 to 65535, got `0`',
    '',
  ])
  expect(stdout).toContain(
    '-A KUBE-SERVICES -d 10.254.0.9/32 -p tcp -m comment --comment "default/api has no endpoints" -m tcp --dport 80 -j REJECT',
  )
})

describe('explicit nulls', () => {
  const nulls = `
{ apiVersion: v1, kind: Node, metadata: { name: n1 }, spec: { podCIDR: 10.244.1.0/24, podCIDRs: null, taints: null }, status: { addresses: [null, { type: InternalIP, address: 192.0.2.1 }], conditions: null } }
---
{ apiVersion: v1, kind: Service, metadata: { name: from-a-chart, namespace: null, labels: null }, status: null, spec: { type: LoadBalancer, clusterIP: 10.254.0.11, clusterIPs: null, externalIPs: null, loadBalancerSourceRanges: null, sessionAffinity: null, ports: [{ name: http, port: 80, nodePort: null, protocol: null }] } }
---
{ apiVersion: v1, kind: Service, metadata: { name: half }, spec: { clusterIP: 10.254.0.12, ports: [null, { port: 81 }] } }
---
{ apiVersion: v1, kind: Service, metadata: { name: wrong }, spec: { clusterIP: 10.254.0.14, externalIPs: 192.0.2.7, ports: [{ port: 82 }] } }
---
{ apiVersion: v1, kind: Service, metadata: null, spec: { clusterIP: 10.254.0.15 } }
---
{ apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: { name: half-1, labels: { kubernetes.io/service-name: half } }, addressType: IPv4, ports: [{ name: null, port: 8080 }], endpoints: [null, { addresses: [10.244.1.9], conditions: null, hints: null, nodeName: null }] }
`
  const clean = `
{ apiVersion: v1, kind: Node, metadata: { name: n1 }, spec: { podCIDR: 10.244.1.0/24 }, status: { addresses: [{ type: InternalIP, address: 192.0.2.1 }] } }
---
{ apiVersion: v1, kind: Service, metadata: { name: from-a-chart }, spec: { type: LoadBalancer, clusterIP: 10.254.0.11, ports: [{ name: http, port: 80 }] } }
---
{ apiVersion: v1, kind: Service, metadata: { name: half }, spec: { clusterIP: 10.254.0.12, ports: [{ port: 81 }] } }
---
{ apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: { name: half-1, labels: { kubernetes.io/service-name: half } }, addressType: IPv4, ports: [{ port: 8080 }], endpoints: [{ addresses: [10.244.1.9] }] }
`

  test('are absent fields; an object that is none, and a null in a list, are reported and hide nothing', () => {
    const { code, stdout, stderr } = render(['-f', '-', '--node', 'n1'], nulls)
    expect(stdout).toBe(render(['-f', '-', '--node', 'n1'], clean).stdout)
    expect(stdout).toContain('--to-destination 10.244.1.9:8080')
    expect(stderr.split('\n').filter(Boolean)).toEqual([
      expect.stringContaining('document 5 is not a Kubernetes object: metadata is missing or wrong'),
      'fairlead: Node n1: status.addresses[0] is null and is left out',
      'fairlead: Service default/half: spec.ports[0] is null and is left out',
      'fairlead: Service default/wrong is left out: Expected spec.externalIPs to be a list, got `192.0.2.7`',
      'fairlead: EndpointSlice default/half-1: endpoints[0] is null and is left out',
    ])
    expect(code).toBe(1)
  })

  test('alone are no reason to fail', () => {
    const { code, stderr } = render(['-f', '-', '--node', 'n1'], nulls.replace(/^.*metadata: null.*$/m, '{}'))
    expect(stderr).toContain('document 5')
    expect(code).toBe(1)
    expect(render(['-f', '-', '--node', 'n1'], nulls.replace(/^.*metadata: null.*$/m, '')).code).toBe(0)
  })
})

test.each([
  [[...pair, '--node', 'node9'], 1, 'there is no Node node9 in the manifests: take one of node1, node2'],
  [['-f', 'docs/examples/none.yaml', '--node', 'node1'], 1, 'none.yaml'],
  [[...pair, '--node', 'node1', '--cluster-cidr', '172.30.0.1/16'], 2, 'did you mean 172.30.0.0/16?'],
  [[...pair], 2, "required option '--node <name>' not specified"],
])('render %j ends with %i', (args, expected, sentence) => {
  const { code, stdout, stderr } = render(args)
  expect({ code, stdout }).toEqual({ code: expected, stdout: '' })
  expect(stderr).toContain(sentence)
})

test('what nodes need is given to no Service, and stderr says so', () => {
  const taking = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'vx' },
    spec: {
      clusterIP: '10.254.77.81',
      externalIPs: ['192.168.0.22', '192.168.0.99'],
      ports: [{ port: 8472, protocol: 'UDP' }],
    },
  }
  const node = (name: string, address: string) => ({
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name },
    status: { addresses: [{ type: 'InternalIP', address }] },
  })
  const list = {
    apiVersion: 'v1',
    kind: 'List',
    items: [taking, node('node1', '192.168.0.21'), node('node2', '192.168.0.22')],
  }
  const { code, stdout, stderr } = render(['-f', '-', '--node', 'node1'], JSON.stringify(list))
  expect({ code, stderr }).toEqual({
    code: 0,
    stderr:
      'fairlead: Service default/vx does not get external IP 192.168.0.22 with port 8472/udp: the VXLAN of the nodes needs it; give the Service another, or set protectNodeTraffic to false\n',
  })
  expect([stdout.includes('192.168.0.22'), stdout.includes('192.168.0.99')]).toEqual([false, true])
})
