// `fairlead render --diff` as a person runs it on a node: how its kernel differs from what manifests ask for. Both
//   backends.
import { join } from 'node:path'
import { execa } from 'execa'
import { expect, test } from 'vitest'
import type { IptablesBackend } from '../../src/iptables/iptables.ts'
import { parseManifests } from '../../src/lab/objects.ts'
import { defaultOptions } from '../../src/services/options.ts'
import { clusterObjects } from '../../src/services/manifests.ts'
import { Services } from '../../src/services/services.ts'
import { describeKernel, type ScratchNamespace, scratchNamespace, testLog } from './scratch.ts'

const root = join(import.meta.dirname, '../..')

/** Service shop/web with these endpoints on port 8080, and the node. */
function manifests(...addresses: readonly string[]): string {
  const node = { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n1' }, spec: { podCIDR: '10.244.1.0/24' } }
  const service = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { namespace: 'shop', name: 'web' },
    spec: { clusterIP: '10.254.0.10', ports: [{ port: 80 }] },
  }
  const slice = {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { namespace: 'shop', name: 'web-1', labels: { 'kubernetes.io/service-name': 'web' } },
    addressType: 'IPv4',
    ports: [{ port: 8080 }],
    endpoints: addresses.map((address) => ({ addresses: [address] })),
  }
  return JSON.stringify({ apiVersion: 'v1', kind: 'List', items: [node, service, slice] })
}

async function diff(
  node: ScratchNamespace,
  input: string,
  ...more: readonly string[]
): Promise<{ code: number | undefined; lines: string[]; stderr: string }> {
  const { exitCode, stdout, stderr } = await execa(
    'nsenter',
    [
      `--net=${node.path}`,
      process.execPath,
      join(root, 'cmd/fairlead/main.ts'),
      'render',
      '-f',
      '-',
      '--node',
      'n1',
      '--diff',
      ...more,
    ],
    { reject: false, input },
  )
  return { code: exitCode, lines: stdout.split('\n'), stderr }
}

/** As an agent with its defaults leaves the node. */
async function programmed(backend: IptablesBackend, text: string): Promise<ScratchNamespace> {
  const node = await scratchNamespace({ iptables: backend })
  const { services, slices, nodes } = clusterObjects(parseManifests(text, 'the test'))
  const rules = new Services({ kernel: node.kernel, iptables: node.iptables, log: testLog, families: [4] })
  rules.configure({ ...defaultOptions, detectLocal: { by: 'nodeCidr' } })
  rules.update(
    new Map(services.map((each) => [`${each.namespace}/${each.name}`, each])),
    new Map(slices.map((each) => [each.name, each])),
    nodes[0]!,
  )
  await rules.sync()
  return node
}

describeKernel('render --diff', () => {
  const backends = ['nft', 'legacy'] as const
  const two = manifests('10.244.1.5', '10.244.2.7')

  test.each(backends)('says nothing where the kernel holds what the manifests ask for: %s', async (backend) => {
    await using node = await programmed(backend, two)
    expect(await diff(node, two)).toEqual({ code: 0, lines: [''], stderr: '' })
    expect(JSON.parse((await diff(node, two, '-o', 'json')).lines.join('\n'))).toEqual({
      backend,
      families: [{ family: 4, tables: [] }],
      problems: [],
    })
  })

  test.each(backends)(
    'shows an endpoint that the manifests have and the kernel has not, in the chains that it concerns: %s',
    async (backend) => {
      await using node = await programmed(backend, two)
      const { code, lines } = await diff(node, manifests('10.244.1.5', '10.244.2.7', '10.244.2.8'))
      expect(code).toBe(1)
      expect(lines.map((line) => line.replaceAll(/KUBE-(SEP|SVC)-\w{16}/g, 'KUBE-$1'))).toEqual([
        '  *nat',
        '+ :KUBE-SEP',
        '+ -A KUBE-SEP -s 10.244.2.8/32 -m comment --comment "shop/web" -j KUBE-MARK-MASQ',
        '+ -A KUBE-SEP -p tcp -m comment --comment "shop/web" -m tcp -j DNAT --to-destination 10.244.2.8:8080',
        '  :KUBE-SVC',
        '  -A KUBE-SVC ! -s 10.244.1.0/24 -d 10.254.0.10/32 -p tcp -m comment --comment "shop/web cluster IP" -m tcp --dport 80 -j KUBE-MARK-MASQ',
        '- -A KUBE-SVC -m comment --comment "shop/web -> 10.244.1.5:8080" -m statistic --mode random --probability 0.50000000000 -j KUBE-SEP',
        '- -A KUBE-SVC -m comment --comment "shop/web -> 10.244.2.7:8080" -j KUBE-SEP',
        '+ -A KUBE-SVC -m comment --comment "shop/web -> 10.244.1.5:8080" -m statistic --mode random --probability 0.33333333349 -j KUBE-SEP',
        '+ -A KUBE-SVC -m comment --comment "shop/web -> 10.244.2.7:8080" -m statistic --mode random --probability 0.50000000000 -j KUBE-SEP',
        '+ -A KUBE-SVC -m comment --comment "shop/web -> 10.244.2.8:8080" -j KUBE-SEP',
      ])
    },
  )

  test.each(backends)('shows what another program has changed, and writes nothing: %s', async (backend) => {
    await using node = await programmed(backend, two)
    const iptables = async (...args: string[]) => node.run(`iptables-${backend}`, args)
    await iptables('-t', 'nat', '-D', 'PREROUTING', '1')
    await iptables('-t', 'nat', '-A', 'KUBE-MARK-MASQ', '-j', 'RETURN')
    await iptables('-t', 'nat', '-N', 'KUBE-SVC-LEFTOVER')
    await iptables('-F', 'KUBE-FORWARD')
    const state = async () => node.run(`iptables-${backend}-save`, []).then((text) => text.replaceAll(/^#.*\n?/gm, ''))
    const before = await state()
    const { code, lines } = await diff(node, two)
    expect(code).toBe(1)
    expect(lines).toEqual([
      '  *filter',
      '  :KUBE-FORWARD',
      '+ -A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP',
      '+ -A KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m mark --mark 0x4000/0x4000 -j ACCEPT',
      '+ -A KUBE-FORWARD -m comment --comment "kubernetes forwarding conntrack rule" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
      '  *nat',
      '  :KUBE-MARK-MASQ',
      '  -A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000',
      '- -A KUBE-MARK-MASQ -j RETURN',
      '- :KUBE-SVC-LEFTOVER',
      '+ -I PREROUTING 1 -m comment --comment "kubernetes service portals" -j KUBE-SERVICES',
    ])
    expect(await state()).toBe(before)
  })

  test('on a node without any rules all of them come; what cannot be rendered is said', async () => {
    await using node = await scratchNamespace()
    const bad = JSON.stringify({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'bad' },
      spec: { clusterIP: '10.254.0.11', ports: [{ port: 0 }] },
    })
    const { code, lines, stderr } = await diff(node, `${two}\n---\n${bad}`)
    expect(code).toBe(1)
    expect(lines.every((line) => line.startsWith('+ ') || line.startsWith('  *'))).toBe(true)
    expect(lines).toContain('+ :FAIRLEAD-SERVICES')
    expect(stderr).toContain('Service default/bad: spec.ports')
  })
})
