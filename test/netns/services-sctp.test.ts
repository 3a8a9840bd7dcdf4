// Services of SCTP with real packets: an INIT, crafted, goes out of a raw socket, and arrives at the endpoint with its
// port and checksum rewritten; or is refused where there is no endpoint.
import { expect, test, vi } from 'vitest'
import { renderSnapshot } from '../../src/services/render-snapshot.ts'
import { at, service, slice, snapshotOf } from '../../src/services/scenarios.ts'
import { tableText } from '../../src/services/table-text.ts'
import { describeKernel, type ScratchNamespace, scratchNamespace, wire } from './scratch.ts'
import { sctpDestination, sctpInit } from './sctp-packet.ts'

const port = (nodePort: number) => [{ port: 9999, protocol: 'SCTP', nodePort }]
const objects = [
  service({ type: 'NodePort', clusterIP: '10.254.0.3', ports: port(30_999) }, { name: 'signals' }),
  slice([at('10.244.1.8', 'worker-1')], {
    name: 'signals-1',
    service: 'signals',
    ports: [{ port: 3868, protocol: 'SCTP' }],
  }),
  service({ type: 'NodePort', clusterIP: '10.254.0.4', ports: port(30_998) }, { name: 'silent' }),
]
const node1 = '192.168.0.21'

interface Bed {
  readonly client: ScratchNamespace
  readonly pod: ScratchNamespace
}

/** client - node - pod, with the rules of the Services on the node. */
async function bed(backend: 'nft' | 'legacy', stack: AsyncDisposableStack): Promise<Bed> {
  const [client, node, pod] = [
    stack.use(await scratchNamespace()),
    stack.use(await scratchNamespace({ iptables: backend })),
    stack.use(await scratchNamespace()),
  ]
  await wire(
    { namespace: client, device: 'eth0', address: '192.168.0.100/24' },
    { namespace: node, device: 'eth0', address: `${node1}/24` },
  )
  await wire(
    { namespace: pod, device: 'eth0', address: '10.244.1.8/24' },
    { namespace: node, device: 'pod', address: '10.244.1.1/24' },
  )
  await client.run('ip', ['route', 'add', '10.254.0.0/16', 'via', node1])
  await pod.run('ip', ['route', 'add', 'default', 'via', '10.244.1.1'])
  await node.run('sh', ['-c', 'echo 1 >/proc/sys/net/ipv4/ip_forward; ip route add default dev pod'])
  await node.iptables.restore(4, tableText(renderSnapshot(snapshotOf({ objects })).rules))
  await pod.run('nft', [
    'table inet seen { chain input { type filter hook input priority 0; ip protocol sctp counter; }; }',
  ])
  await client.run('nft', [
    'table inet seen { chain input { type filter hook input priority 0; icmp type destination-unreachable icmp code port-unreachable counter; }; }',
  ])
  return { client, pod }
}

async function send(client: ScratchNamespace, address: string, to: number): Promise<void> {
  await client.run('sh', [
    '-c',
    `echo ${sctpInit(40_000, to).toString('base64')} | base64 -d | socat -u - IP4-SENDTO:${address}:132`,
  ])
}

async function counted(namespace: ScratchNamespace): Promise<number> {
  return Number(/counter packets (\d+)/.exec(await namespace.run('nft', ['list', 'table', 'inet', 'seen']))?.[1])
}

describeKernel('Services of SCTP', () => {
  test.each(
    (['nft', 'legacy'] as const).flatMap(
      (backend) =>
        [
          ['cluster IP', '10.254.0.3', 9999, backend],
          ['node port', node1, 30_999, backend],
        ] as const,
    ),
  )(
    '%s: an INIT to %s:%i arrives at the endpoint, its port and checksum rewritten: %s',
    async (_, address, to, backend) => {
      await using stack = new AsyncDisposableStack()
      const { client, pod } = await bed(backend, stack)
      const received = pod.run('timeout', ['20', 'socat', '-u', 'IP4-RECVFROM:132', 'SYSTEM:base64 -w0'])
      await vi.waitFor(async () => expect(await pod.run('cat', ['/proc/net/raw'])).toContain(':0084'), {
        timeout: 60_000,
        interval: 50,
      })
      await send(client, address, to)
      expect(sctpDestination(Buffer.from(await received, 'base64'))).toBe(3868)
      expect(await counted(pod)).toBe(1)
    },
  )

  test.each(
    (['nft', 'legacy'] as const).flatMap(
      (backend) =>
        [
          ['cluster IP', '10.254.0.4', 9999, backend],
          ['node port', node1, 30_998, backend],
        ] as const,
    ),
  )('%s: an INIT to %s:%i, which has no endpoint, is refused: %s', async (_, address, to, backend) => {
    await using stack = new AsyncDisposableStack()
    const { client, pod } = await bed(backend, stack)
    await send(client, address, to)
    await vi.waitFor(async () => expect(await counted(client)).toBe(1), { timeout: 60_000, interval: 50 })
    expect(await counted(pod)).toBe(0)
  })
})
