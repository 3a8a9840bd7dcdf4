import { expect, test } from 'vitest'
import { ruleRemovals, type RulesContext, type TableLines } from './rules.ts'

const nobody: RulesContext = { running: new Set(), podLives: () => false, anyPodLives: false }
const table = (name: TableLines['table'], ...lines: readonly string[]): TableLines => ({
  backend: 'nft',
  family: 4,
  table: name,
  lines,
})
const texts = (tables: readonly TableLines[], context = nobody): string[] =>
  ruleRemovals(tables, context).steps.map((step) => (step.by === 'restore' ? step.text : ''))

test('chains are emptied, then nothing leads to them, then they go; a target named in a comment alone is none', () => {
  const filter = table(
    'filter',
    ':FORWARD ACCEPT [0:0]',
    ':FLANNEL-FWD - [0:0]',
    '-A FORWARD -m comment --comment "not -j FLANNEL-FWD" -j ACCEPT',
    '-A FORWARD -j FLANNEL-FWD',
    '-A FLANNEL-FWD -s 10.0.0.0/8 -j ACCEPT',
  )
  expect(texts([filter])).toEqual([
    '*filter\n:FLANNEL-FWD - [0:0]\n-D FORWARD -j FLANNEL-FWD\n-X FLANNEL-FWD\nCOMMIT\n',
  ])
  expect(texts([table('filter', ':FORWARD ACCEPT [0:0]', ':DOCKER - [0:0]')])).toEqual([])
})

test('what a chain that stays leads to stays, and what that leads to', () => {
  const nat = table(
    'nat',
    ':KUBE-SVC-AAAAAAAAAAAAAAAA - [0:0]',
    ':KUBE-SEP-AAAAAAAAAAAAAAAA - [0:0]',
    ':KUBE-SEP-BBBBBBBBBBBBBBBB - [0:0]',
    ':MINE - [0:0]',
    '-A MINE -g KUBE-SVC-AAAAAAAAAAAAAAAA',
    '-A KUBE-SVC-AAAAAAAAAAAAAAAA -j KUBE-SEP-AAAAAAAAAAAAAAAA',
  )
  const { steps, kept } = ruleRemovals([nat], nobody)
  expect(steps).toMatchObject([
    { text: '*nat\n:KUBE-SEP-BBBBBBBBBBBBBBBB - [0:0]\n-X KUBE-SEP-BBBBBBBBBBBBBBBB\nCOMMIT\n' },
  ])
  expect(kept).toEqual([
    'KUBE-SVC-AAAAAAAAAAAAAAAA, KUBE-SEP-AAAAAAAAAAAAAAAA (iptables-nft -t nat) stay: a rule of a chain that stays leads to it',
  ])
})

test('chains of Services are ours where our marker stands: in that backend and family, and in no other', () => {
  const services = [':KUBE-SERVICES - [0:0]', ':KUBE-FIREWALL - [0:0]']
  const tables = [
    table('nat', ...services),
    table('mangle', ':FAIRLEAD-SERVICES - [0:0]', ':KUBE-KUBELET-CANARY - [0:0]'),
    { ...table('nat', ...services), family: 6 as const },
  ]
  expect(ruleRemovals(tables, nobody)).toEqual({
    steps: [
      { by: 'restore', backend: 'nft', family: 6, text: '*nat\n:KUBE-SERVICES - [0:0]\n-X KUBE-SERVICES\nCOMMIT\n' },
    ],
    kept: [],
    held: [],
  })
})

test('the chain of a pod goes with the pod; one that names no pod is taken for a living one', () => {
  const nat = table(
    'nat',
    ':CNI-000000000000000000000001 - [0:0]',
    ':CNI-000000000000000000000002 - [0:0]',
    ':CNI-000000000000000000000003 - [0:0]',
    String.raw`-A POSTROUTING -s 10.0.0.1/32 -m comment --comment "name: \"old\" id: \"one\"" -j CNI-000000000000000000000001`,
    String.raw`-A POSTROUTING -s 10.0.0.2/32 -m comment --comment "name: \"old\" id: \"two\"" -j CNI-000000000000000000000002`,
    '-A POSTROUTING -j CNI-000000000000000000000003',
  )
  const { steps, kept } = ruleRemovals([nat], {
    ...nobody,
    podLives: (network, containerId) => network === 'old' && containerId === 'two',
  })
  expect(steps).toMatchObject([
    {
      text: String.raw`*nat
:CNI-000000000000000000000001 - [0:0]
-D POSTROUTING -s 10.0.0.1/32 -m comment --comment "name: \"old\" id: \"one\"" -j CNI-000000000000000000000001
-X CNI-000000000000000000000001
COMMIT
`,
    },
  ])
  expect(kept).toEqual([
    'CNI-000000000000000000000002, CNI-000000000000000000000003 (iptables-nft -t nat) stay: pods of the network before live, or are not known to be gone; delete them, then run this again',
  ])
})

test('an administrator keeps the rules that the firewall plugin left room for', () => {
  const { steps, kept } = ruleRemovals(
    [
      table(
        'filter',
        ':CNI-FORWARD - [0:0]',
        ':CNI-ADMIN - [0:0]',
        '-A FORWARD -j CNI-FORWARD',
        '-A CNI-FORWARD -j CNI-ADMIN',
        '-A CNI-ADMIN -s 10.0.0.0/8 -j DROP',
      ),
    ],
    nobody,
  )
  expect(steps).toMatchObject([
    { text: '*filter\n:CNI-FORWARD - [0:0]\n-D FORWARD -j CNI-FORWARD\n-X CNI-FORWARD\nCOMMIT\n' },
  ])
  expect(kept).toEqual(["CNI-ADMIN (iptables-nft -t filter) stays: rules in it are an administrator's"])
})

test('what runs holds its chains and single rules', () => {
  const filter = table(
    'filter',
    ':KUBE-ROUTER-INPUT - [0:0]',
    '-A INPUT -j KUBE-ROUTER-INPUT',
    '-A FORWARD -o kube-bridge -j ACCEPT',
  )
  expect(ruleRemovals([filter], { ...nobody, running: new Set(['kube-router']) })).toEqual({
    steps: [],
    kept: [],
    held: ['kube-router'],
  })
  expect(texts([filter])).toEqual([
    '*filter\n:KUBE-ROUTER-INPUT - [0:0]\n-D INPUT -j KUBE-ROUTER-INPUT\n-D FORWARD -o kube-bridge -j ACCEPT\n-X KUBE-ROUTER-INPUT\nCOMMIT\n',
  ])
})
