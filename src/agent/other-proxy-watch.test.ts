import { pino } from 'pino'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { Iptables } from '../iptables/iptables.ts'
import type { KubeProxyMode } from './kube-proxy-probe.ts'
import type { OtherProxy, OtherProxyPresence } from './other-proxy.ts'
import { OtherProxyWatch } from './other-proxy-watch.ts'

/** A node with kube-proxy's things of IPv4. */
class Node {
  ours = false
  table = false
  canary = false
  answers: KubeProxyMode | undefined
  writes = 0
  readonly removed: string[] = []

  readonly other = {
    hasTable: async (family: number) => family === 4 && this.table,
    mode: async () => this.answers,
    presence: async (family: number): Promise<OtherProxyPresence | undefined> => {
      if (family === 6) return undefined
      if (this.canary) return { rules: 'shared', mode: 'iptables' }
      return this.table
        ? { rules: 'own', where: 'table ip kube-proxy', answers: this.answers !== undefined }
        : undefined
    },
    deleteTable: async () => {
      this.table = false
      this.removed.push('table')
    },
  } as unknown as OtherProxy

  readonly iptables = {
    foreignWrites: async () => this.writes,
    rulesOf: async (_: number, table: string, chain: string) => {
      if (chain === 'FAIRLEAD-SERVICES') return this.ours ? ['-N X', '-A X'] : undefined
      return this.canary && table === 'mangle' ? ['-N X'] : undefined
    },
    restore: async () => {
      this.canary = false
      this.removed.push('canary')
    },
  } as unknown as Iptables
}

let node: Node
let watch: OtherProxyWatch

/** After `seconds`. */
async function look(seconds = 10): Promise<readonly string[]> {
  vi.advanceTimersByTime(seconds * 1000)
  await watch.look([4, 6])
  return watch.problems.map(({ sentence }) => sentence)
}

beforeEach(() => {
  vi.useFakeTimers()
  node = new Node()
  watch = new OtherProxyWatch({ iptables: node.iptables, other: node.other, log: pino({ level: 'silent' }) })
})
afterEach(() => void vi.useRealTimers())

test('a table that was there before any rules of ours, with no kube-proxy that answers, is removed', async () => {
  node.table = true
  await watch.begin()
  expect(await look()).toEqual([])
  expect(node.removed).toEqual(['table'])
})

test('the table of a kube-proxy that answers is reported, and removed as soon as it has ended', async () => {
  node.ours = true
  node.table = true
  node.answers = 'nftables'
  await watch.begin()
  expect(await look()).toEqual([
    'Another proxy serves IPv4 Services on this node too (kube-proxy, table ip kube-proxy): stop it, or set serviceProxy to false here',
  ])
  node.answers = undefined
  expect(await look(1)).toEqual([])
  expect(node.removed).toEqual(['table'])
})

test.each([
  ['that comes while the agent runs', async () => (await watch.begin(), (node.ours = node.table = true))],
  ['that an agent before this one has met', async () => ((node.ours = node.table = true), await watch.begin())],
  [
    'that comes back',
    async () => (
      (node.table = true),
      await watch.begin(),
      await look(),
      (node.table = true),
      (node.removed.length = 0)
    ),
  ],
])('a table %s may have a kube-proxy that finds its addresses taken: it stays', async (_, happens) => {
  await happens()
  node.writes += 1
  expect(await look()).toEqual([expect.stringContaining('if it has ended, remove what it left with `fairlead cleanup')])
  expect(node.removed).toEqual([])
})

test('a canary without a kube-proxy that answers is removed once; one that comes back is reported', async () => {
  await watch.begin()
  node.canary = true
  node.writes += 1
  expect(await look()).toEqual([])
  expect(node.removed).toEqual(['canary'])
  node.canary = true
  node.writes += 1
  expect(await look()).toEqual([expect.stringContaining('(kube-proxy, mode iptables)')])
  expect(node.removed).toEqual(['canary'])
})

test('nothing is looked for while nobody has written rules, but every two minutes', async () => {
  await watch.begin()
  const presence = vi.spyOn(node.other, 'presence')
  await look()
  presence.mockClear()
  await look()
  expect(presence).not.toHaveBeenCalled()
  await look(120)
  expect(presence).toHaveBeenCalledTimes(2)
})
