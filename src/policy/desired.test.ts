import { expect, test } from 'vitest'
import { Desired } from './desired.ts'
import { diffTables } from './diff.ts'
import { tunnelAddresses } from './ip-blocks.ts'
import type { LocalPod } from './local-pod.ts'
import { Members } from './members.ts'
import { ScratchCluster, wired } from './scratch-cluster.ts'
import { ScratchTable } from './scratch-table.ts'
import type { PolicySettings } from './settings.ts'
import { Subjects } from './subjects.ts'
import type { PolicyTable } from './table.ts'

const settings: PolicySettings = { nodeName: 'n1', families: [4], judgeOpenConnections: true, log: undefined }

/** A node's plans, one after the other. */
class Plans {
  readonly #members = new Members()
  readonly #subjects = new Subjects()
  readonly #desired = new Desired(this.#members)
  readonly #locals: readonly LocalPod[]
  readonly #settings: PolicySettings
  readonly #context

  constructor(locals: readonly LocalPod[], changes: Partial<PolicySettings> = {}, cluster = new ScratchCluster()) {
    this.#locals = locals
    this.#settings = { ...settings, ...changes }
    this.#context = { families: this.#settings.families, tunnels: tunnelAddresses(cluster.snapshots.nodes.values()) }
  }

  next(cluster: ScratchCluster): PolicyTable | undefined {
    const { pods, policies, namespaces } = cluster.snapshots
    const subjects = this.#subjects.update(this.#locals, pods, policies)
    this.#members.update(pods, namespaces, new Map(this.#locals.map(({ key, addresses }) => [key, addresses])))
    return this.#desired.plan(subjects, this.#settings, this.#context)
  }
}

/**
 * Chains by their comments, with the sets they name by theirs, so that a page can be read; what a text of ours makes of
 * a table.
 */
function page(table: PolicyTable | undefined): string {
  const kernel = new ScratchTable()
  kernel.apply(diffTables('absent', table).text)
  const names = new Map(
    [...kernel.sets, ...kernel.chains].map(([name, { declaration }]) => [
      name,
      /comment "([^"]*)"/.exec(declaration)?.[1],
    ]),
  )
  const spoken = (text: string): string =>
    text.replaceAll(/@?[a-z]+[46]?-[0-9a-f]{20}/g, (name) => {
      const said = names.get(name.replace('@', ''))
      return said === undefined ? name.replace(/-[0-9a-f]+$/, '') : `<${said}>`
    })
  const sets = [...kernel.sets]
    .filter(([, { elements }]) => elements.size > 0)
    .map(
      ([name, { declaration, elements }]) =>
        `${spoken(name)} { ${declaration.replace(/ comment.*/, '')} } ${[...elements].map(([element, verdict]) => spoken(`${element}${verdict && ` : ${verdict}`}`)).join(', ')}`,
    )
  const chains = [...kernel.chains].map(([name, { declaration, rules }]) =>
    [`${spoken(name)} { ${declaration.replace(/comment.*/, '')} }`, ...rules.map((rule) => `  ${spoken(rule)}`)].join(
      '\n',
    ),
  )
  return [...sets.toSorted(), ...chains].join('\n')
}

const web = { podSelector: { matchLabels: { app: 'web' } } }
const shop = (): ScratchCluster =>
  new ScratchCluster()
    .namespace('shop', 'team=a')
    .namespace('blog', 'team=b')
    .pod('shop/db', { labels: 'app=db', ports: [{ name: 'sql', containerPort: 5432 }] })
    .pod('shop/web', { labels: 'app=web', node: 'n2', address: '10.244.2.7' })
    .pod('blog/web', {
      labels: 'app=web',
      node: 'n2',
      address: '10.244.2.8',
      ports: [
        { name: 'http', containerPort: 8080 },
        { name: 'http', protocol: 'UDP', containerPort: 1 },
      ],
    })
const db = wired('shop/db', '10.244.1.6')

test('a policy as rules', () => {
  const plans = new Plans([db], { log: { group: 100, perSecond: 10 } })
  const cluster = shop().policy('shop/db', {
    podSelector: { matchLabels: { app: 'db' } },
    ingress: [
      {
        from: [
          web,
          { namespaceSelector: { matchLabels: { team: 'b' } } },
          { ipBlock: { cidr: '192.168.0.0/16', except: ['192.168.1.0/24'] } },
          { ipBlock: { cidr: 'fd00::/64' } },
        ],
        ports: [
          { port: 80 },
          { port: 8000, endPort: 8100 },
          { protocol: 'UDP', port: 53 },
          { protocol: 'SCTP' },
          { port: 'sql' },
        ],
      },
      { ports: [{ port: 9090 }] },
    ],
    egress: [
      { to: [{ namespaceSelector: {}, ...web }], ports: [{ port: 'http' }] },
      { ports: [{ port: 'http', protocol: 'UDP' }] },
      { to: [{ ipBlock: { cidr: '0.0.0.0/0' } }] },
    ],
  })
  expect(page(plans.next(cluster))).toBe(`<(): all pods, port http/udp> { typeof ip saddr . th dport; } 10.244.2.8 . 1
<(): app=web, port http/tcp> { typeof ip saddr . th dport; } 10.244.2.8 . 8080
<(team=b): all pods> { typeof ip saddr; } 10.244.2.8
<shop: app=db, port sql/tcp> { typeof ip saddr . th dport; } 10.244.1.6 . 5432
<shop: app=web> { typeof ip saddr; } 10.244.2.7
block4 { typeof ip saddr; flags interval; } 0.0.0.0-255.255.255.255
block4 { typeof ip saddr; flags interval; } 192.168.0.0-192.168.0.255, 192.168.2.0-192.168.255.255
denied-egress4 { typeof ip saddr; counter; } 10.244.1.6
denied-ingress4 { typeof ip saddr; counter; } 10.244.1.6
egress4 { typeof ip saddr : verdict; } 10.244.1.6 : jump <shop: db>
ingress4 { typeof ip saddr : verdict; } 10.244.1.6 : jump <shop: db>
itself4 { typeof ip saddr . ip saddr; } 10.244.1.6 . 10.244.1.6
ports { typeof th dport; flags interval; } 80, 8000-8100
<shop: db> {  }
  ip saddr <shop: app=web> tcp dport @ports accept comment "db"
  ip saddr <shop: app=web> udp dport 53 accept comment "db"
  ip saddr <shop: app=web> meta l4proto sctp accept comment "db"
  ip saddr <(team=b): all pods> tcp dport @ports accept comment "db"
  ip saddr <(team=b): all pods> udp dport 53 accept comment "db"
  ip saddr <(team=b): all pods> meta l4proto sctp accept comment "db"
  ip saddr @block4 tcp dport @ports accept comment "db"
  ip saddr @block4 udp dport 53 accept comment "db"
  ip saddr @block4 meta l4proto sctp accept comment "db"
  ip saddr <shop: app=web> ip daddr . tcp dport <shop: app=db, port sql/tcp> accept comment "db"
  ip saddr <(team=b): all pods> ip daddr . tcp dport <shop: app=db, port sql/tcp> accept comment "db"
  ip saddr @block4 ip daddr . tcp dport <shop: app=db, port sql/tcp> accept comment "db"
  tcp dport 9090 accept comment "db"
  limit rate 10/second log prefix "fairlead ingress shop: db " group 100
  goto deny-ingress
<shop: db> {  }
  ip daddr . tcp dport <(): app=web, port http/tcp> return comment "db"
  ip daddr . udp dport <(): all pods, port http/udp> return comment "db"
  ip daddr @block4 return comment "db"
  limit rate 10/second log prefix "fairlead egress shop: db " group 100
  goto deny-egress
deny-ingress {  }
  ip daddr @denied-ingress4 drop
  ip6 daddr @denied-ingress6 drop
  drop
deny-egress {  }
  ip saddr @denied-egress4 drop
  ip6 saddr @denied-egress6 drop
  drop
forward { type filter hook forward priority 10; policy accept; }
  ct direction reply accept
  ct state related accept
  icmpv6 type 130-137 accept
  icmpv6 type 143 accept
  ip saddr . ip daddr @itself4 accept
  ip6 saddr . ip6 daddr @itself6 accept
  ip saddr vmap @egress4
  ip6 saddr vmap @egress6
  ip daddr vmap @ingress4
  ip6 daddr vmap @ingress6`)
})

test('what could not be read closes: rules without peers or ports that are left admit nothing', () => {
  const plans = new Plans([db])
  const table = plans.next(
    shop().policy('shop/db', {
      podSelector: {},
      ingress: [
        { from: [{ ipBlock: { cidr: 'x' } }] },
        { ports: [{ endPort: 1 }] },
        { from: [{ ipBlock: { cidr: '10.0.0.0/8' } }], ports: [{ endPort: 1 }] },
      ],
    }),
  )
  expect(page(table)).toContain('<shop: db> {  }\n  goto deny-ingress\n')
})

test('egress by a named port to a block admits nothing', () => {
  const table = new Plans([db]).next(
    shop().policy('shop/db', {
      podSelector: {},
      policyTypes: ['Egress'],
      egress: [{ to: [{ ipBlock: { cidr: '10.0.0.0/8' } }], ports: [{ port: 'http' }] }],
    }),
  )
  expect(page(table)).toContain('<shop: db> {  }\n  goto deny-egress\n')
})

test('pods under the same policies share chains; a pod without labels is held where a policy might select it, and open where none could', () => {
  const cluster = shop()
    .pod('shop/db2', { labels: 'app=db' })
    .policy('shop/a', { podSelector: {} })
    .policy('shop/b', { podSelector: { matchLabels: { app: 'db' } }, policyTypes: ['Ingress'] })
    .policy('blog/c', { podSelector: {}, policyTypes: ['Egress'] })
  const table = new Plans([
    db,
    wired('shop/db2', '10.244.1.7'),
    wired('shop/unknown', '10.244.1.8'),
    wired('blog/unknown', '10.244.1.9'),
    wired('open/unknown', '10.244.1.10'),
  ]).next(cluster)
  const read = page(table)
  expect(read).toContain(
    'ingress4 { typeof ip saddr : verdict; } 10.244.1.6 : jump <shop: a, b>, 10.244.1.7 : jump <shop: a, b>, 10.244.1.8 : jump <pods whose labels are not known yet>\n',
  )
  expect(read).toContain(
    'egress4 { typeof ip saddr : verdict; } 10.244.1.9 : jump <pods whose labels are not known yet>\n',
  )
  expect([...table!.chains.keys()].filter((name) => name.startsWith('ingress-'))).toHaveLength(2)
})

test('an earlier pod of that name says nothing about this one', () => {
  const cluster = shop().policy('shop/deny', { podSelector: { matchLabels: { app: 'other' } } })
  expect(new Plans([{ ...db, uid: 'uid of shop/db' }]).next(cluster)).toBeUndefined()
  expect(page(new Plans([{ ...db, uid: 'another' }]).next(cluster))).toContain(
    'jump <pods whose labels are not known yet>',
  )
})

test('one peer more is one element, one policy changed is its chain', () => {
  const plans = new Plans([db])
  const cluster = shop().policy('shop/db', { podSelector: {}, ingress: [{ from: [web], ports: [{ port: 80 }] }] })
  const first = plans.next(cluster)
  const second = plans.next(cluster.pod('shop/web2', { labels: 'app=web', node: 'n2', address: '10.244.2.9' }))
  expect(diffTables(first!, second).text).toMatch(/^add element inet fairlead pods4-\w+ { 10\.244\.2\.9 }\n$/)
  expect(diffTables(second!, plans.next(cluster.pod('blog/web3', { node: 'n2', address: '10.244.2.10' }))).text).toBe(
    '',
  )
  const third = plans.next(
    cluster.policy('shop/db', { podSelector: {}, ingress: [{ from: [web], ports: [{ port: 81 }] }] }),
  )
  expect(
    diffTables(second!, third)
      .text.split('\n')
      .map((line) => line.replaceAll(/-[0-9a-f]{20}/g, '-#')),
  ).toEqual([
    'add chain inet fairlead ingress-# { comment "shop: db"; }',
    'add rule inet fairlead ingress-# ip saddr @pods4-# tcp dport 81 accept comment "db"',
    'add rule inet fairlead ingress-# goto deny-ingress',
    'delete element inet fairlead ingress4 { 10.244.1.6 }',
    expect.stringMatching(/^add element inet fairlead ingress4 { 10\.244\.1\.6 : jump ingress-# }$/),
    'flush chain inet fairlead ingress-#',
    'delete chain inet fairlead ingress-#',
    '',
  ])
})

test('names that would end a quotation do not', () => {
  const table = new Plans([wired('shop"; drop/x', '10.244.1.6')]).next(
    new ScratchCluster().policy('shop"; drop/a\n"b', { podSelector: {} }),
  )
  expect(diffTables('absent', table).text).not.toMatch(/shop"|\n"b/)
})
