// Real packets through the policy table of a node: who reaches whom, what becomes of open connections, and what happens when another program breaks it.
import { expect, test } from 'vitest'
import { Policies } from '../../src/policy/policies.ts'
import { ScratchCluster, wired } from '../../src/policy/scratch-cluster.ts'
import type { PolicySettings } from '../../src/policy/settings.ts'
import { outsideAddress, remotePod, type RulesNode, rulesNode, seenFrom } from './rules-node.ts'
import { describeKernel, testLog } from './scratch.ts'

const settings: PolicySettings = { nodeName: 'n1', families: [4, 6], judgeOpenConnections: true, log: undefined }
const [web, db] = ['10.244.1.5', '10.244.1.6']
const locals = [wired('shop/web', web, 'fd00:244:1::5'), wired('shop/db', db, 'fd00:244:1::6')]

/** shop/web and shop/db on this node, shop/far on another. */
function shop(): ScratchCluster {
  return new ScratchCluster()
    .namespace('shop', 'team=a')
    .pod('shop/web', { labels: 'app=web' })
    .pod('shop/db', { labels: 'app=db', ports: [{ name: 'sql', containerPort: 9000 }] })
    .pod('shop/far', { labels: 'app=far', node: 'n2', address: remotePod })
}

async function enforced(net: RulesNode, cluster: ScratchCluster, changes: Partial<PolicySettings> = {}): Promise<Policies> {
  const policies = new Policies({ kernel: net.node.kernel, log: testLog })
  policies.configure({ ...settings, ...changes })
  await policies.sync(cluster.snapshots, locals)
  return policies
}

const table = async ({ node }: RulesNode): Promise<string> => await node.run('nft', ['list', 'ruleset', 'inet'])

describeKernel('policies and packets', () => {
  test('ingress: those that a rule names and no others, between two ports of the bridge and from another node; the node itself always', async () => {
    await using net = await rulesNode('nft')
    const { node, pods: [webPod, dbPod], outside } = net
    for (const port of [9000, 9001]) await net.serve(dbPod, port)
    const cluster = shop().policy('shop/db', { podSelector: { matchLabels: { app: 'db' } }, ingress: [{ from: [{ podSelector: { matchLabels: { app: 'web' } } }], ports: [{ port: 9000 }] }] })
    const policies = await enforced(net, cluster)
    expect(await seenFrom(webPod, `${db}:9000`)).toBe(web)
    expect(await seenFrom(webPod, `${db}:9001`)).toBeUndefined()
    expect(await seenFrom(outside, `${db}:9000`, { source: remotePod })).toBeUndefined()
    expect(await seenFrom(node, `${db}:9001`)).toBe('10.244.1.1')

    cluster.policy('shop/db', { podSelector: {}, ingress: [{ from: [{ namespaceSelector: { matchLabels: { team: 'a' } } }], ports: [{ port: 'sql' }] }] })
    await policies.sync(cluster.snapshots, locals)
    expect(await seenFrom(outside, `${db}:9000`, { source: remotePod })).toBe(remotePod)
    expect(await seenFrom(webPod, `${db}:9000`)).toBe(web)
    expect(await seenFrom(webPod, `${db}:9001`)).toBeUndefined()
  })

  test('egress to blocks with exceptions, and UDP by ranges of ports', async () => {
    await using net = await rulesNode('nft')
    const { pods: [webPod, dbPod], outside } = net
    for (const port of [5000, 5002]) await net.serve(dbPod, port, { protocol: 'UDP' })
    await net.serve(outside, 9000)
    await outside.run('ip', ['route', 'add', '10.244.1.0/24', 'via', '192.168.0.21'])
    const cluster = shop().policy('shop/web', {
      podSelector: { matchLabels: { app: 'web' } }, policyTypes: ['Egress'],
      egress: [{ to: [{ ipBlock: { cidr: '192.168.0.0/16', except: ['192.168.1.0/24'] } }] }, { to: [{ podSelector: {} }], ports: [{ protocol: 'UDP', port: 5000, endPort: 5001 }] }],
    })
    await enforced(net, cluster)
    expect(await seenFrom(webPod, `${outsideAddress}:9000`)).toBe(web)
    expect(await seenFrom(webPod, `${db}:5000`, { protocol: 'UDP' })).toBe(web)
    expect(await seenFrom(webPod, `${db}:5002`, { protocol: 'UDP' })).toBeUndefined()
    cluster.policy('shop/web', { podSelector: {}, policyTypes: ['Egress'], egress: [{ to: [{ ipBlock: { cidr: '192.168.0.0/16', except: [`${outsideAddress}/32`] } }] }] })
    await enforced(net, cluster)
    expect(await seenFrom(webPod, `${outsideAddress}:9000`)).toBeUndefined()
  })

  test('IPv6 too, and neighbours still find each other; nobody comes in by the address of the link', async () => {
    await using net = await rulesNode('nft')
    const { pods: [webPod, dbPod] } = net
    for (const port of [9000, 9001]) await net.serve(dbPod, port, { family: 6 })
    const linkLocal = /inet6 (fe80\S+)\/64/.exec(await dbPod.run('ip', ['addr', 'show', 'dev', 'eth0']))?.[1] ?? ''
    expect(await seenFrom(webPod, `[${linkLocal}%eth0]:9001`)).toBeDefined()
    const policies = new Policies({ kernel: net.node.kernel, log: testLog })
    policies.configure(settings)
    await policies.sync(shop().policy('shop/db', { podSelector: { matchLabels: { app: 'db' } }, ingress: [{ ports: [{ port: 9000 }] }] }).snapshots, [locals[0]!, { ...locals[1]!, linkLocal: wired('', linkLocal).addresses[0] }])
    expect(await seenFrom(webPod, '[fd00:244:1::6]:9000')).toBe('fd00:244:1::5')
    expect(await seenFrom(webPod, '[fd00:244:1::6]:9001')).toBeUndefined()
    expect(await seenFrom(webPod, `[${linkLocal}%eth0]:9001`)).toBeUndefined()
  })

  test('no policy, no table; the last policy takes it along', async () => {
    await using net = await rulesNode('nft')
    const cluster = shop().policy('other/deny', { podSelector: {} })
    const policies = await enforced(net, cluster)
    expect(await table(net)).toBe('')
    await policies.sync(cluster.policy('shop/deny', { podSelector: {} }).snapshots, locals)
    expect(await table(net)).toContain('table inet fairlead')
    await policies.sync(cluster.remove('policies', 'shop/deny').snapshots, locals)
    expect(await table(net)).toBe('')
  })
})
