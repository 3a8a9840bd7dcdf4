// Real packets through the ports of isolated pods: none that bears an address which is not the pod's.
import { expect, test } from 'vitest'
import { canonicalAddress } from '../../src/net/address.ts'
import { db, enforced, onWires, shop, web } from './policy-shop.ts'
import { rulesNode, seenFrom } from './rules-node.ts'
import { describeKernel } from './scratch.ts'

describeKernel('policies and the ports of pods', () => {
  test('a pod whose egress is isolated sends nothing in the name of another, and says to nobody that it is one', async () => {
    await using net = await rulesNode('nft')
    const {
      pods: [webPod, dbPod],
    } = net
    await net.serve(dbPod, 5000, { protocol: 'UDP' })
    await net.serve(dbPod, 5001, { protocol: 'UDP', family: 6 })
    const [forged4, forged6] = ['10.244.1.77', 'fd00:244:1::77']
    await webPod.run('ip', ['-batch', '-'], {
      input: `addr add ${forged4}/24 dev eth0\naddr add ${forged6}/64 dev eth0 nodad\n`,
    })
    const heard = async (): Promise<unknown> =>
      await Promise.all([
        seenFrom(webPod, `${db}:5000`, { protocol: 'UDP', source: forged4 }),
        seenFrom(webPod, '[fd00:244:1::6]:5001', { protocol: 'UDP', source: `[${forged6}]` }),
      ])
    const cluster = shop().policy('shop/web', {
      podSelector: { matchLabels: { app: 'web' } },
      policyTypes: ['Egress'],
      egress: [{ ports: [{ protocol: 'UDP', port: 5002 }] }],
    })
    // Who it is told to be by its wire is what makes the difference.
    await enforced(net, cluster)
    expect(await heard()).toEqual([forged4, forged6])
    await dbPod.run('ip', ['neigh', 'flush', 'dev', 'eth0'])
    await webPod.run('ip', ['neigh', 'flush', 'dev', 'eth0'])
    const policies = await enforced(net, cluster, {}, onWires)
    expect(await Promise.all([heard(), seenFrom(webPod, `${db}:5000`, { protocol: 'UDP' })])).toEqual([
      [undefined, undefined],
      undefined,
    ])
    await policies.look('counts')
    expect(policies.misaddressed).toEqual([
      {
        reason: 'source',
        namespace: 'shop',
        pod: 'web',
        packets: expect.toSatisfy((packets: number) => packets > 0) as number,
      },
    ])
    expect(await dbPod.run('ip', ['neigh', 'show', 'to', forged4])).toBe('')
    await enforced(
      net,
      cluster.policy('shop/web', {
        podSelector: { matchLabels: { app: 'web' } },
        policyTypes: ['Egress'],
        egress: [{ ports: [{ protocol: 'UDP', port: 5000, endPort: 5001 }] }],
      }),
      {},
      onWires,
    )
    // The pod's kernel asks for a neighbour in the name of the first packet that waits for it, and one of those above
    // may still wait.
    await webPod.run('ip', ['neigh', 'flush', 'dev', 'eth0'])
    expect(
      await Promise.all([
        seenFrom(webPod, `${db}:5000`, { protocol: 'UDP' }),
        seenFrom(webPod, '[fd00:244:1::6]:5001', { protocol: 'UDP', source: '[fd00:244:1::5]' }),
      ]),
    ).toEqual([web, 'fd00:244:1::5'])
  })

  test('a pod whose ingress is isolated gets no broadcast and no multicast of its neighbours, and what is for itself as before', async () => {
    await using net = await rulesNode('nft')
    const {
      node,
      pods: [webPod, dbPod],
    } = net
    await net.serve(dbPod, 5000, { protocol: 'UDP' })
    await net.serve(dbPod, 5001, { protocol: 'UDP', family: 6 })
    // A kernel that has had the time to find its link address free would send to the link with that.
    const shouted = async (): Promise<unknown> =>
      await Promise.all(
        ['UDP4-DATAGRAM:10.244.1.255:5000,broadcast', 'UDP6-DATAGRAM:[ff02::1%eth0]:5001,bind=[fd00:244:1::5]'].map(
          async (to) =>
            canonicalAddress(
              (await webPod.run('socat', ['-T2', '-t2', '-', to], { input: 'hello\n' }))
                .trim()
                .replaceAll(/[[\]]/g, ''),
            ),
        ),
      )
    const cluster = shop().policy('shop/db', {
      podSelector: { matchLabels: { app: 'db' } },
      ingress: [{ from: [{ podSelector: {} }], ports: [{ protocol: 'UDP', port: 5000, endPort: 5001 }] }],
    })
    await enforced(net, cluster)
    expect(await shouted()).toEqual([web, 'fd00:244:1::5'])
    const policies = await enforced(net, cluster, {}, onWires)
    expect(await shouted()).toEqual([undefined, undefined])
    await policies.look('whole')
    expect(policies.misaddressed).toEqual([
      {
        reason: 'destination',
        namespace: 'shop',
        pod: 'db',
        packets: expect.toSatisfy((packets: number) => packets >= 2) as number,
      },
    ])
    expect(
      await Promise.all([
        seenFrom(webPod, `${db}:5000`, { protocol: 'UDP' }),
        seenFrom(webPod, '[fd00:244:1::6]:5001', { protocol: 'UDP' }),
        seenFrom(node, `${db}:5000`, { protocol: 'UDP' }),
      ]),
    ).toEqual([web, 'fd00:244:1::5', '10.244.1.1'])
  })
})
