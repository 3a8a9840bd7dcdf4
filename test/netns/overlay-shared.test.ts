// Nodes that claim the same address or podCIDR, one of them dead: packets between the living ones, whatever the dead
// Node object says.
import { expect, test } from 'vitest'
import type { ClusterNode } from '../../src/cluster/node.ts'
import { parseAddress } from '../../src/net/address.ts'
import { parseCidr } from '../../src/net/cidr.ts'
import { AgentMachine, until } from './agent-machine.ts'
import { entries, reaches, type TestNode, underlay } from './overlay-cluster.ts'
import { describeKernel } from './scratch.ts'

/** A Node object whose machine is gone, older than all others. */
function gone(given: Partial<ClusterNode>): ClusterNode {
  return {
    name: 'gone',
    uid: 'gone',
    createdAt: 0,
    podCidrs: [parseCidr('10.244.9.0/24'), parseCidr('fd00:244:9::/64')],
    internalAddresses: [parseAddress('192.168.0.99'), parseAddress('fd00::99')],
    zone: undefined,
    leaving: false,
    networkUnavailable: false,
    kubeletPort: 10_250,
    alive: false,
    ...given,
  }
}

const living = ({ object }: TestNode): ClusterNode => ({ ...object, alive: true })
const silent = (node: ClusterNode): ClusterNode => ({ ...node, alive: false })

/** Both ways, in a family. */
async function connected(one: TestNode, other: TestNode, family: 4 | 6 = 4): Promise<boolean[]> {
  return [await reaches(one.pod, other.object, { family }), await reaches(other.pod, one.object, { family })]
}

describeKernel('nodes that claim the same', () => {
  test.each<[what: string, shared: Partial<ClusterNode>, mode: 'vxlan' | 'direct']>([
    ['the InternalIP of node 2', { internalAddresses: [parseAddress('192.168.0.2')] }, 'vxlan'],
    ['the InternalIP of node 2', { internalAddresses: [parseAddress('192.168.0.2')] }, 'direct'],
    ['the IPv6 InternalIP of node 2', { internalAddresses: [parseAddress('fd00::2')] }, 'vxlan'],
    ['the podCIDR of node 2', { podCidrs: [parseCidr('10.244.2.0/24')] }, 'vxlan'],
    ['the podCIDR of node 2', { podCidrs: [parseCidr('10.244.2.0/24')] }, 'direct'],
    ['a block that holds the podCIDRs of both', { podCidrs: [parseCidr('10.244.0.0/16')] }, 'vxlan'],
    ['an IPv6 podCIDR of node 2', { podCidrs: [parseCidr('fd00:244:2::/64')] }, 'vxlan'],
    ['a podCIDR that holds the InternalIPs of both', { podCidrs: [parseCidr('192.168.0.0/24')] }, 'vxlan'],
    [
      'the InternalIP of node 2, and nobody ever reported for it',
      { internalAddresses: [parseAddress('192.168.0.2')], alive: undefined },
      'vxlan',
    ],
  ])('a dead, older Node with %s costs no packet (%#)', async (_what, shared, mode) => {
    await using net = await underlay()
    const nodes = [await net.addNode(1), await net.addNode(2)]
    const told = [gone(shared), ...nodes.map(living)]
    for (const node of nodes)
      expect(await node.reconcile(told, { mode, families: [4, 6] })).toMatchObject({
        ready: true,
        peers: 1,
        failures: [],
      })
    for (const family of [4, 6] as const) expect(await connected(nodes[0]!, nodes[1]!, family)).toEqual([true, true])
  })

  test('the younger node takes over when the older falls silent, and keeps it when all do and when they report again', async () => {
    await using net = await underlay()
    const [one, two] = [await net.addNode(1), await net.addNode(2)]
    const old = gone({ podCidrs: [parseCidr('10.244.2.0/24')], alive: true })
    const young = living(two)
    const first = await one.reconcile([old, living(one), young])
    expect(first.leftOut).toEqual([
      {
        name: 'node-2',
        problem:
          'Node node-2 has podCIDR 10.244.2.0/24, of which the older node gone holds 10.244.2.0/24, and is left out, although both report; delete Node node-2 and restart its kubelet, so that it gets another block',
      },
    ])
    expect((await entries(one)).fdb).toEqual(['02:58:0a:f4:02:00 dst 192.168.0.99 self permanent'])

    const told = [silent(old), living(one), young]
    await Promise.all([one, two].map((node) => node.reconcile(told)))
    expect(await connected(one, two)).toEqual([true, true])
    const settled = await entries(one)
    for (const later of [told.map(silent), [old, living(one), young], [old, living(one), young].toReversed()]) {
      expect((await one.reconcile(later)).changes).toEqual([])
      expect(await entries(one)).toEqual(settled)
    }
    expect(await connected(one, two)).toEqual([true, true])
  })

  test('two living nodes with one address: the one in force is reached, the other one is reported', async () => {
    await using net = await underlay()
    const [one, two] = [await net.addNode(1), await net.addNode(2)]
    await Promise.all([one, two].map((node) => node.reconcile([one, two].map(living))))
    const twin = gone({ internalAddresses: two.object.internalAddresses, alive: true })
    for (const node of [one, two]) {
      const result = await node.reconcile([twin, living(one), living(two)])
      expect(result).toMatchObject({ ready: true, peers: 1, changes: [], leftOut: [{ name: 'gone' }] })
    }
    expect(await connected(one, two)).toEqual([true, true])
  })

  test('a node that comes back with another address and block is reached again', async () => {
    await using net = await underlay()
    const [one, two, three] = [await net.addNode(1), await net.addNode(2), await net.addNode(3)]
    const dead = silent({ ...three.object, createdAt: 0, internalAddresses: two.object.internalAddresses })
    await Promise.all([one, two].map((node) => node.reconcile([dead, living(one), living(two)])))
    expect(await connected(one, two)).toEqual([true, true])
    const back = { ...living(three), createdAt: 0 }
    await Promise.all([one, two, three].map((node) => node.reconcile([back, living(one), living(two)])))
    expect([...(await connected(one, two)), ...(await connected(one, three))]).toEqual([true, true, true, true])
  })
})

/** The Ready condition of a Node, as its kubelet or the node controller wrote it. */
async function report(machine: AgentMachine, name: string, status: string, lastHeartbeatTime?: string): Promise<void> {
  const path = `/api/v1/nodes/${name}`
  const node = (await machine.api('GET', path)) as { status: object }
  const conditions = [{ type: 'Ready', status, ...(lastHeartbeatTime === undefined ? {} : { lastHeartbeatTime }) }]
  await machine.api('PUT', `${path}/status`, { ...node, status: { ...node.status, conditions } })
}

async function fairlead(machine: AgentMachine, command: string): Promise<string> {
  return (await machine.run(new URL('../../bin/fairlead', import.meta.url).pathname, [command])).stdout
}

describeKernel('an agent whose Node shares its address with an older one', () => {
  const twin = 'Node elder has InternalIP 192.168.99.1, as node n1 has, and is left out because'

  test('serves pods when the older one is dead, and status and doctor name it', async () => {
    await using machine = await AgentMachine.start(null)
    await machine.putNode('10.244.9.0/24', 'elder')
    await report(machine, 'elder', 'Unknown')
    await machine.putNode('10.244.1.0/24')
    machine.startAgent()
    await machine.ready()
    expect(machine.warnings.filter((warning) => warning.startsWith(twin))).toHaveLength(1)
    for (const command of ['status', 'doctor'])
      expect(await fairlead(machine, command)).toContain(`${twin} no kubelet reports for it any more`)
    // The doctor asks no machine that is gone.
    expect(await fairlead(machine, 'doctor')).not.toContain('elder at')
  })

  test('waits while the older one reports, and serves when its heartbeats are long past', async () => {
    await using machine = await AgentMachine.start(null)
    await machine.putNode('10.244.9.0/24', 'elder')
    await report(machine, 'elder', 'True', '2026-01-01T10:00:00Z')
    await machine.putNode('10.244.1.0/24')
    await report(machine, 'n1', 'False', '2026-01-01T10:10:00Z')
    machine.startAgent({ flags: ['--resync-seconds', '1'] })
    await until(() => machine.log.some(({ msg }) => msg.includes('although both report')), 'the clash to be reported')
    expect((await machine.cni('STATUS')).code).toBe(50)
    await report(machine, 'n1', 'False', '2026-01-01T10:16:00Z')
    await machine.ready()
    expect(await fairlead(machine, 'status')).toContain(`${twin} its last heartbeat is long past`)
  })
})
