import { expect, test } from 'vitest'
import { parseCidr } from '../../src/net/cidr.ts'
import { cni, nodeSettings, podNode, withoutBridgeNetfilter } from './pod-node.ts'
import { describeKernel, scratchNamespace } from './scratch.ts'
import { callFrom, listenIn } from './traffic.ts'

const serviceAddress = '10.254.0.9'

for (const mode of ['bridged', 'routed'] as const) {
  describeKernel(`two ${mode} pods of one node`, () => {
    test('reach each other, the node, and a Service of the other one and of their own', async () => {
      await using node = await podNode(mode === 'routed' ? { kernelOf: withoutBridgeNetfilter } : {})
      if (mode === 'routed') await node.namespace.kernel.writeSysctl('net/bridge/bridge-nf-call-iptables', '0')
      await using web = await scratchNamespace()
      await using client = await scratchNamespace()
      const added = await cni(node.network, 'ADD', { containerId: 'web', netns: web.path })
      const other = await cni(node.network, 'ADD', { containerId: 'client', netns: client.path })
      expect([added, other].map(({ document }) => document.ips?.[0]?.address)).toEqual(
        mode === 'routed' ? ['10.244.1.2/32', '10.244.1.3/32'] : ['10.244.1.2/24', '10.244.1.3/24'],
      )
      for (const { document, containerId, netns } of [
        { document: added.document, containerId: 'web', netns: web.path },
        { document: other.document, containerId: 'client', netns: client.path },
      ])
        expect(await cni(node.network, 'CHECK', { containerId, netns }, { prevResult: document })).toMatchObject({
          code: 0,
        })

      // What kube-proxy would write for a Service with the web pod behind it.
      await node.namespace.run('iptables', [
        '-t',
        'nat',
        '-A',
        'PREROUTING',
        '-d',
        serviceAddress,
        '-p',
        'tcp',
        '--dport',
        '80',
        '-j',
        'DNAT',
        '--to-destination',
        '10.244.1.2:8080',
      ])
      await node.namespace.run('iptables', [
        '-t',
        'nat',
        '-A',
        'POSTROUTING',
        '-s',
        '10.244.1.2',
        '-d',
        '10.244.1.2',
        '-j',
        'MASQUERADE',
      ])
      await using server = await listenIn(web, 8080)
      expect(await callFrom(client, '10.244.1.2', server.port)).toMatch(/10\.244\.1\.3$/)
      expect(await callFrom(node.namespace, '10.244.1.2', server.port)).toMatch(/10\.244\.1\.1$/)
      expect(await callFrom(client, serviceAddress, 80)).toMatch(/10\.244\.1\.3$/)
      expect(await callFrom(web, serviceAddress, 80)).toMatch(/10\.244\.1\.1$/)
      // No pod was told a shorter way round the node.
      expect(await client.run('ip', ['route', 'show', 'cache'])).not.toContain('redirected')
    })
  })
}

describeKernel('both families', () => {
  test('a dual-stack pod has an address and a way out in each', async () => {
    await using node = await podNode({
      settings: { podCidrs: [...nodeSettings.podCidrs, parseCidr('fd00:244:1::/64')] },
    })
    await using web = await scratchNamespace()
    await using client = await scratchNamespace()
    await cni(node.network, 'ADD', { containerId: 'web', netns: web.path })
    const added = await cni(node.network, 'ADD', { containerId: 'client', netns: client.path })
    expect(added.document.ips?.map(({ address }) => address)).toEqual(['10.244.1.3/24', 'fd00:244:1::3/64'])
    expect(added.document.routes).toEqual([
      { dst: '0.0.0.0/0', gw: '10.244.1.1' },
      { dst: '::/0', gw: 'fd00:244:1::1' },
    ])
    expect(
      await cni(node.network, 'CHECK', { containerId: 'client', netns: client.path }, { prevResult: added.document }),
    ).toMatchObject({ code: 0 })
    await using server = await listenIn(web, 8080)
    expect(await callFrom(client, 'fd00:244:1::2', server.port)).toBe('fd00:244:1::3')
    expect(await callFrom(client, '10.244.1.2', server.port)).toMatch(/10\.244\.1\.3$/)
    expect((await node.network.reconcile()).changes).toEqual([])
  })
})
