// UDP flows follow their host port: they end with it, also where the agent was away when it went, and no other flow does.
import { expect, test } from 'vitest'
import { parseAddress } from '../../src/net/address.ts'
import { port } from '../../src/pods/rules/rule-inputs.ts'
import { PodRules } from '../../src/pods/rules/rules.ts'
import { nodeAddress, outsideAddress, podAt, type RulesNode, rulesNode, settings } from './rules-node.ts'
import { describeKernel, testLog } from './scratch.ts'
import { answerAs, ask, askUntil, entriesFrom, insertEntry } from './udp-clients.ts'

const backends = ['nft', 'legacy'] as const
const dns = (hostPort = 5353, hostAddress?: string) =>
  port(hostPort, {
    protocol: 'udp',
    containerPort: 53,
    hostAddress: hostAddress === undefined ? undefined : parseAddress(hostAddress),
  })
/** Another agent on the same node, as after a restart. */
function nextAgent({ node: { kernel, iptables } }: RulesNode): PodRules {
  const rules = new PodRules({ kernel, iptables, log: testLog, families: [4, 6] })
  rules.configure(settings)
  return rules
}

describeKernel('UDP flows of host ports', () => {
  test.each(backends)('%s: a flow ends with its host port, and its next packet goes to the node', async (backend) => {
    await using net = await rulesNode(backend)
    const {
      node,
      pods: [pod],
      outside,
      rules,
    } = net
    await using _pod = await answerAs('pod', pod, 53)
    await using _node = await answerAs('node', node, 5353)
    await rules.reconcile([podAt(5, [dns()])])
    await askUntil('pod', outside, `${nodeAddress}:5353`, 40_001)
    await rules.remove([podAt(5, [dns()])])
    expect(await entriesFrom(node, 40_001)).toEqual([])
    expect(await ask(outside, `${nodeAddress}:5353`, 40_001)).toBe('node')
  })

  test('IPv6: a flow ends with its host port, and one that is older than the port is led to the pod', async () => {
    await using net = await rulesNode('nft')
    const {
      node,
      pods: [pod],
      outside,
      rules,
    } = net
    await using _pod = await answerAs('pod', pod, 53, { family: 6 })
    await using _node = await answerAs('node', node, 5353, { family: 6 })
    await rules.reconcile([])
    await askUntil('node', outside, '[fd00::21]:5353', 40_001)
    await rules.add(podAt(5, [dns()]))
    await askUntil('pod', outside, '[fd00::21]:5353', 40_001)
    await rules.remove([podAt(5, [dns()])])
    expect(await entriesFrom(node, 40_001, 6)).toEqual([])
  })

  test('flows from localhost, from a neighbour and from the pod itself end with it', async () => {
    await using net = await rulesNode('nft')
    const {
      node,
      pods: [pod, neighbour],
      rules,
    } = net
    await using _pod = await answerAs('pod', pod, 53)
    await rules.reconcile([podAt(5, [dns()])])
    await askUntil('pod', node, '127.0.0.1:5353', 40_001)
    await askUntil('pod', node, `${nodeAddress}:5353`, 40_002)
    await askUntil('pod', neighbour, `${nodeAddress}:5353`, 40_003)
    await askUntil('pod', pod, '10.244.1.1:5353', 40_004)
    await rules.remove([podAt(5, [dns()])])
    for (const sourcePort of [40_001, 40_002, 40_003, 40_004])
      expect([sourcePort, await entriesFrom(node, sourcePort)]).toEqual([sourcePort, []])
  })

  test('a pod with a host port that comes and goes ends no flow that only has its number', async () => {
    await using net = await rulesNode('nft')
    const {
      node,
      pods: [pod, neighbour],
      outside,
      rules,
    } = net
    await node.run('ip', ['addr', 'add', '192.168.0.22/24', 'dev', 'eth0'])
    await using _far = await answerAs('far', outside, 5353)
    await using _own = await answerAs('own', node, 5353)
    await using _pod = await answerAs('pod', pod, 53)
    await using _neighbour = await answerAs('neighbour', neighbour, 5353)
    // What another program publishes at that number, for one client alone.
    await node.run(
      'iptables-nft',
      '-t nat -A PREROUTING -s 192.168.0.10 -p udp --dport 5353 -j DNAT --to-destination 10.244.1.6:5353'.split(' '),
    )
    await outside.run('ip', ['addr', 'add', '192.168.0.10/24', 'dev', 'eth0'])
    await rules.reconcile([])
    await askUntil('far', neighbour, `${outsideAddress}:5353`, 40_001)
    await askUntil('neighbour', pod, '10.244.1.6:5353', 40_002)
    await askUntil('neighbour', outside, `${nodeAddress}:5353`, 40_003, { bind: '192.168.0.10' })
    await askUntil('own', outside, `${nodeAddress}:5353`, 40_004)
    await insertEntry(node, {
      source: outsideAddress,
      sourcePort: 40_005,
      to: [nodeAddress, 5353],
      from: [nodeAddress, 5353],
      zone: 7,
    })
    const others = async () =>
      Promise.all([40_001, 40_002, 40_003, 40_005].map(async (sourcePort) => entriesFrom(node, sourcePort)))
    const before = await others()
    expect(before.map((entries) => entries.length)).toEqual([1, 1, 1, 1])

    await rules.add(podAt(5, [dns(5353, '192.168.0.22')]))
    await askUntil('pod', outside, '192.168.0.22:5353', 40_006)
    expect(await others()).toEqual(before)
    // It goes to another address than the port is on.
    expect(await entriesFrom(node, 40_004)).toHaveLength(1)
    await rules.remove([podAt(5, [dns(5353, '192.168.0.22')])])
    expect(await entriesFrom(node, 40_006)).toEqual([])
    expect(await others()).toEqual(before)
    expect(await entriesFrom(node, 40_004)).toHaveLength(1)

    await rules.add(podAt(5, [dns()]))
    expect(await others()).toEqual(before)
    expect(await entriesFrom(node, 40_004)).toEqual([])
    await rules.remove([podAt(5, [dns()])])
    expect(await others()).toEqual(before)
  })

  test('a port that moves from one pod to the next takes its clients along', async () => {
    await using net = await rulesNode('nft')
    const {
      node,
      pods: [pod, next],
      outside,
      rules,
    } = net
    await using _pod = await answerAs('pod', pod, 53)
    await using _next = await answerAs('next', next, 53)
    await rules.reconcile([podAt(5, [dns()])])
    await askUntil('pod', outside, `${nodeAddress}:5353`, 40_001)
    await rules.remove([podAt(5, [dns()])])
    await rules.add(podAt(6, [dns()]))
    await askUntil('next', outside, `${nodeAddress}:5353`, 40_001)
    // A new sandbox of the same pod takes the port over from one whose DEL has not come.
    await rules.add({ ...podAt(5, [dns()]), pod: podAt(6, []).pod })
    expect(await entriesFrom(node, 40_001)).toEqual([])
    await askUntil('pod', outside, `${nodeAddress}:5353`, 40_001)
  })

  test.each(backends)('%s: what went while no agent ran ends when the next one has begun', async (backend) => {
    await using net = await rulesNode(backend)
    const {
      node,
      pods: [pod, other],
      outside,
      rules,
    } = net
    await using _pod = await answerAs('pod', pod, 53)
    await using _other = await answerAs('other', other, 53)
    await rules.reconcile([podAt(5, [dns()]), podAt(6, [dns(5354)])])
    await askUntil('pod', outside, `${nodeAddress}:5353`, 40_001)
    await askUntil('other', outside, `${nodeAddress}:5354`, 40_002)
    const kept = await entriesFrom(node, 40_002)
    // It does not know of the pod: its files are gone, and the rules in the kernel alone tell.
    await nextAgent(net).reconcile([podAt(6, [dns(5354)])])
    expect(await entriesFrom(node, 40_001)).toEqual([])
    expect(await entriesFrom(node, 40_002)).toEqual(kept)
  })

  test('an agent that was killed between rules and flows is made good by its records', async () => {
    await using net = await rulesNode('nft')
    const {
      node,
      pods: [pod, other],
      outside,
      rules,
    } = net
    await using _pod = await answerAs('pod', pod, 53)
    await using _other = await answerAs('other', other, 53)
    await using _node = await answerAs('node', node, 5354)
    await rules.reconcile([podAt(5, [dns()])])
    await askUntil('pod', outside, `${nodeAddress}:5353`, 40_001)
    await askUntil('node', outside, `${nodeAddress}:5354`, 40_002)
    // The rule of one is gone and that of the other there, but neither's flows were looked at.
    await node.run('iptables-nft', ['-t', 'nat', '-F', 'FAIRLEAD-HOSTPORT-DNAT'])
    const again = nextAgent(net)
    await again.remove([podAt(5, [dns()])])
    await again.add(podAt(6, [dns(5354)]))
    await again.reconcile([podAt(6, [dns(5354)])])
    expect(await entriesFrom(node, 40_001)).toEqual([])
    await askUntil('other', outside, `${nodeAddress}:5354`, 40_002)
  })

  test('clients that went past a port while its rules were flushed are led again when they are repaired', async () => {
    await using net = await rulesNode('nft')
    const {
      node,
      pods: [pod],
      outside,
      rules,
    } = net
    await using _pod = await answerAs('pod', pod, 53)
    await using _node = await answerAs('node', node, 5353)
    await rules.reconcile([podAt(5, [dns()])])
    // Without any rule that needs it the kernel would track nothing meanwhile.
    await node.run('iptables-nft', ['-A', 'INPUT', '-m', 'conntrack', '--ctstate', 'INVALID', '-j', 'DROP'])
    await node.run('iptables-nft', ['-t', 'nat', '-F'])
    await askUntil('node', outside, `${nodeAddress}:5353`, 40_001)
    await rules.reconcile([podAt(5, [dns()])])
    expect(await entriesFrom(node, 40_001)).toEqual([])
    await askUntil('pod', outside, `${nodeAddress}:5353`, 40_001)
  })

  test('host ports that leave localhost leave the flows to the other addresses alone', async () => {
    await using net = await rulesNode('nft')
    const {
      node,
      pods: [pod],
      outside,
      rules,
    } = net
    await using _pod = await answerAs('pod', pod, 53)
    await using _local = await answerAs('local', node, 5353, { host: '127.0.0.1' })
    await rules.reconcile([podAt(5, [dns()])])
    await askUntil('pod', node, '127.0.0.1:5353', 40_001)
    await askUntil('pod', outside, `${nodeAddress}:5353`, 40_002)
    const kept = await entriesFrom(node, 40_002)
    rules.configure({ ...settings, localhostHostPorts: false })
    await rules.reconcile([podAt(5, [dns()])])
    await askUntil('local', node, '127.0.0.1:5353', 40_001)
    expect(await entriesFrom(node, 40_002)).toEqual(kept)
    // The flow past the port is one that is meant to go there.
    const past = await entriesFrom(node, 40_001)
    await rules.add(podAt(6, [dns(5354)]))
    expect(await entriesFrom(node, 40_001)).toEqual(past)
  })
})
