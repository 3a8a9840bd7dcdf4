// Real packets through the policy table of a node: who reaches whom, what becomes of open connections, and what happens
// when another program breaks it.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { expect, test } from 'vitest'
import { Policies } from '../../src/policy/policies.ts'
import { wired } from '../../src/policy/scratch-cluster.ts'
import { until } from './agent-machine.ts'
import { db, enforced, locals, settings, shop, web } from './policy-shop.ts'
import { outsideAddress, remotePod, type RulesNode, rulesNode, seenFrom } from './rules-node.ts'
import { describeKernel, type ScratchNamespace, testLog } from './scratch.ts'

interface Connection extends AsyncDisposable {
  /** Answers what the other side answers. */
  readonly say: (word: string) => Promise<string>
}

/** shop/web talks to shop/db, whose policy is changed then. */
async function talking(
  net: RulesNode,
  judgeOpenConnections: boolean,
): Promise<{
  policies: Policies
  connection: Connection
  forbid: () => Promise<unknown>
  allow: () => Promise<unknown>
}> {
  await using made = new AsyncDisposableStack()
  const {
    pods: [webPod, dbPod],
  } = net
  made.use(
    ended(
      spawn('nsenter', [`--net=${dbPod.path}`, 'socat', 'TCP-LISTEN:9002,fork', 'EXEC:cat'], {
        stdio: 'ignore',
        detached: true,
      }),
    ),
  )
  await until(async () => (await dbPod.run('ss', ['-Hlnt', 'sport = :9002'])).trim() !== '', 'the server to listen')
  const cluster = shop()
  const rule = (ingress: readonly object[]) =>
    cluster.policy('shop/db', { podSelector: { matchLabels: { app: 'db' } }, ingress }).snapshots
  const policies = await enforced(net, cluster, { judgeOpenConnections })
  const [forbid, allow] = [[], [{}]].map((ingress) => async () => await policies.sync(rule(ingress), locals)) as [
    () => Promise<unknown>,
    () => Promise<unknown>,
  ]
  await allow()
  const connection = made.use(connected(webPod, db))
  expect(await connection.say('one')).toBe('one')
  const kept = made.move()
  return {
    policies,
    connection: { say: connection.say, [Symbol.asyncDispose]: () => kept.disposeAsync() },
    forbid,
    allow,
  }
}

function connected(pod: ScratchNamespace, host: string): Connection {
  const client = spawn('nsenter', [`--net=${pod.path}`, 'socat', '-', `TCP:${host}:9002`], {
    stdio: ['pipe', 'pipe', 'ignore'],
    detached: true,
  })
  const answers = createInterface({ input: client.stdout })[Symbol.asyncIterator]()
  const say = async (word: string): Promise<string> => {
    client.stdin.write(`${word}\n`)
    return String((await answers.next()).value)
  }
  return { ...ended(client), say }
}

function ended(child: ChildProcess): AsyncDisposable {
  return {
    [Symbol.asyncDispose]: async () => {
      const gone = once(child, 'exit')
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
      await gone
    },
  }
}

/** What is logged to an nflog group, a line a packet. */
async function logged(
  node: ScratchNamespace,
  group: number,
): Promise<AsyncDisposable & { readonly lines: readonly string[] }> {
  const directory = mkdtempSync(join(tmpdir(), 'ft-nflog-'))
  try {
    execFileSync('gcc', [
      '-std=gnu11',
      '-O2',
      '-Wall',
      '-Wextra',
      '-Werror',
      '-o',
      join(directory, 'nflog-reader'),
      join(import.meta.dirname, 'nflog-reader.c'),
    ])
    const reader = spawn('nsenter', [`--net=${node.path}`, join(directory, 'nflog-reader'), String(group)], {
      stdio: ['ignore', 'pipe', 'inherit'],
      detached: true,
    })
    const lines: string[] = []
    createInterface({ input: reader.stdout }).on('line', (line) => lines.push(line))
    await until(() => lines.shift() === 'listening', 'the reader to listen')
    return { ...ended(reader), lines }
  } finally {
    rmSync(directory, { recursive: true })
  }
}

const table = async ({ node }: RulesNode): Promise<string> => await node.run('nft', ['list', 'ruleset', 'inet'])

describeKernel('policies and packets', () => {
  test('ingress: those that a rule names and no others, between two ports of the bridge and from another node; the node itself always', async () => {
    await using net = await rulesNode('nft')
    const {
      node,
      pods: [webPod, dbPod],
      outside,
    } = net
    for (const port of [9000, 9001]) await net.serve(dbPod, port)
    const cluster = shop().policy('shop/db', {
      podSelector: { matchLabels: { app: 'db' } },
      ingress: [{ from: [{ podSelector: { matchLabels: { app: 'web' } } }], ports: [{ port: 9000 }] }],
    })
    const policies = await enforced(net, cluster)
    expect(await seenFrom(webPod, `${db}:9000`)).toBe(web)
    expect(
      await Promise.all([seenFrom(webPod, `${db}:9001`), seenFrom(outside, `${db}:9000`, { source: remotePod })]),
    ).toEqual([undefined, undefined])
    expect(await seenFrom(node, `${db}:9001`)).toBe('10.244.1.1')

    cluster.policy('shop/db', {
      podSelector: {},
      ingress: [{ from: [{ namespaceSelector: { matchLabels: { team: 'a' } } }], ports: [{ port: 'sql' }] }],
    })
    await policies.sync(cluster.snapshots, locals)
    expect(await seenFrom(outside, `${db}:9000`, { source: remotePod })).toBe(remotePod)
    expect(await seenFrom(webPod, `${db}:9000`)).toBe(web)
    expect(await seenFrom(webPod, `${db}:9001`)).toBeUndefined()
  })

  test('egress to blocks with exceptions, and UDP by ranges of ports', async () => {
    await using net = await rulesNode('nft')
    const {
      pods: [webPod, dbPod],
      outside,
    } = net
    for (const port of [5000, 5002]) await net.serve(dbPod, port, { protocol: 'UDP' })
    await net.serve(outside, 9000)
    await outside.run('ip', ['route', 'add', '10.244.1.0/24', 'via', '192.168.0.21'])
    const cluster = shop().policy('shop/web', {
      podSelector: { matchLabels: { app: 'web' } },
      policyTypes: ['Egress'],
      egress: [
        { to: [{ ipBlock: { cidr: '192.168.0.0/16', except: ['192.168.1.0/24'] } }] },
        { to: [{ podSelector: {} }], ports: [{ protocol: 'UDP', port: 5000, endPort: 5001 }] },
      ],
    })
    await enforced(net, cluster)
    expect(await seenFrom(webPod, `${outsideAddress}:9000`)).toBe(web)
    expect(await seenFrom(webPod, `${db}:5000`, { protocol: 'UDP' })).toBe(web)
    expect(await seenFrom(webPod, `${db}:5002`, { protocol: 'UDP' })).toBeUndefined()
    cluster.policy('shop/web', {
      podSelector: {},
      policyTypes: ['Egress'],
      egress: [{ to: [{ ipBlock: { cidr: '192.168.0.0/16', except: [`${outsideAddress}/32`] } }] }],
    })
    await enforced(net, cluster)
    expect(await seenFrom(webPod, `${outsideAddress}:9000`)).toBeUndefined()
  })

  test('IPv6 too, and neighbours still find each other; nobody comes in by the address of the link', async () => {
    await using net = await rulesNode('nft')
    const {
      pods: [webPod, dbPod],
    } = net
    for (const port of [9000, 9001]) await net.serve(dbPod, port, { family: 6 })
    const linkLocal = /inet6 (fe80\S+)\/64/.exec(await dbPod.run('ip', ['addr', 'show', 'dev', 'eth0']))?.[1] ?? ''
    expect(await seenFrom(webPod, `[${linkLocal}%eth0]:9001`)).toBeDefined()
    const policies = new Policies({ kernel: net.node.kernel, log: testLog })
    policies.configure(settings)
    await policies.sync(
      shop().policy('shop/db', { podSelector: { matchLabels: { app: 'db' } }, ingress: [{ ports: [{ port: 9000 }] }] })
        .snapshots,
      [locals[0]!, { ...locals[1]!, linkLocal: wired('', linkLocal).addresses[0] }],
    )
    expect(await seenFrom(webPod, '[fd00:244:1::6]:9000')).toBe('fd00:244:1::5')
    expect(
      await Promise.all(['[fd00:244:1::6]:9001', `[${linkLocal}%eth0]:9001`].map((target) => seenFrom(webPod, target))),
    ).toEqual([undefined, undefined])
  })

  test('a connection that a policy comes to forbid is held, and goes on when it may again', async () => {
    await using net = await rulesNode('nft')
    const { policies, connection, forbid, allow } = await talking(net, true)
    await using _connection = connection
    await forbid()
    const answer = connection.say('two')
    await until(async () => {
      await policies.look('whole')
      return policies.denials.some(({ packets }) => packets > 0)
    }, 'a packet to be denied')
    expect(await Promise.race([answer, Promise.resolve('none yet')])).toBe('none yet')
    await allow()
    expect(await answer).toBe('two')
  })

  test('where open connections are kept, only new ones are forbidden', async () => {
    await using net = await rulesNode('nft')
    const { connection, forbid } = await talking(net, false)
    await using _connection = connection
    await forbid()
    expect(await connection.say('two')).toBe('two')
    expect(await seenFrom(net.pods[0], `${db}:9002`)).toBeUndefined()
  })

  test('a pod reaches itself through a Service, whatever its policies say', async () => {
    await using net = await rulesNode('nft')
    const {
      node,
      pods: [webPod],
    } = net
    await net.serve(webPod, 9000)
    await node.run('nft', ['-f', '-'], {
      input: `table ip nat {
  chain pre { type nat hook prerouting priority -100; ip daddr 10.254.0.9 tcp dport 80 dnat to ${web}:9000; }
  chain post { type nat hook postrouting priority 100; ip saddr ${web} ip daddr ${web} masquerade; }
}
`,
    })
    await enforced(net, shop().policy('shop/deny', { podSelector: {}, policyTypes: ['Ingress', 'Egress'] }))
    expect(await seenFrom(webPod, '10.254.0.9:80')).toBe('10.244.1.1')
  })

  test('what is denied is counted by pod and policies, and of each set of policies a sample is logged: who sent it, to whom, and what denied it', async () => {
    await using net = await rulesNode('nft')
    const {
      node,
      pods: [webPod],
      outside,
    } = net
    await outside.run('ip', ['route', 'add', '10.244.1.0/24', 'via', '192.168.0.21'])
    const policies = await enforced(
      net,
      shop()
        .policy('shop/deny', { podSelector: { matchLabels: { app: 'db' } } })
        .policy('shop/more', { podSelector: {}, ingress: [] }),
      { log: { group: 7, perSecond: 1 } },
    )
    await using log = await logged(node, 7)
    // The kernel gives a flood five at once, and from then on as many as it says.
    await webPod.run('bash', ['-c', `for i in {1..60}; do echo x >/dev/udp/${db}/5000; done`])
    await outside.run('bash', ['-c', `for i in {1..3}; do echo x >/dev/udp/${web}/5000; done`])
    await until(
      () => log.lines.filter((line) => line.startsWith(outsideAddress)).length === 3,
      'the last packets to be logged',
    )
    const [ofDb, ofWeb] = [
      `${web} ${db} 17 fairlead ingress shop: deny, more `,
      `${outsideAddress} ${web} 17 fairlead ingress shop: more `,
    ]
    const count = (line: string): number => log.lines.filter((each) => each === line).length
    expect(log.lines.filter((line) => line !== ofDb && line !== ofWeb)).toEqual([])
    expect(count(ofDb)).toSatisfy((packets: number) => packets >= 5 && packets < 60)
    await policies.look('whole')
    expect(policies.denials).toEqual([
      { direction: 'ingress', namespace: 'shop', pod: 'web', policies: ['more'], packets: 3 },
      { direction: 'ingress', namespace: 'shop', pod: 'db', policies: ['deny', 'more'], packets: 60 },
    ])
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
