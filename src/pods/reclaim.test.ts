import { pino } from 'pino'
import { expect, test } from 'vitest'
import { type Failure, type Kernel, ourGroup, retiredGroup } from '../kernel/kernel.ts'
import type { Link } from '../kernel/observed.ts'
import { ifbName } from './bandwidth.ts'
import { CommandQueue } from './command-queue.ts'
import type { PodContext } from './context.ts'
import { detach } from './detach.ts'
import { NodeState } from './node-state.ts'
import { findDead, Reclaim } from './reclaim.ts'
import { RetiredVeths } from './retired-veths.ts'
import { scratchAttachment } from './scratch-attachment.ts'

const link = (name: string, difference: Partial<Link> = {}): Link => ({
  index: 1,
  name,
  mac: undefined,
  mtu: 1450,
  up: true,
  carrier: true,
  group: ourGroup,
  alias: undefined,
  type: 'veth',
  master: 'cni0',
  peer: undefined,
  hairpin: true,
  vxlan: undefined,
  addresses: [],
  ...difference,
})
const [a, b] = [scratchAttachment('a'), scratchAttachment('b')]
const quiet = {
  earlier: [a, b],
  links: [a, b].map(({ hostInterface }) => link(hostInterface)),
  expected: new Set<string>([a.hostInterface, b.hostInterface]),
  suspects: new Set<string>(),
  isGone: () => false,
}

test('pods whose veth and path are there are let be', () => {
  expect(findDead(quiet)).toEqual({ dead: [], suspects: new Set(), orphans: [], orphanIfbs: [] })
})

test.each([
  ['is gone', []],
  ['was retired by a DEL that was cut short', [link(b.hostInterface, { group: retiredGroup })]],
])('an attachment is dead at once when its veth %s, whatever lies at its path', (_, rest) => {
  expect(findDead({ ...quiet, links: [link(a.hostInterface), ...rest] })).toMatchObject({ dead: [b], orphans: [] })
})

test('a missing path alone counts the second time in a row', () => {
  const isGone = (path: string): boolean => path === b.netns
  const first = findDead({ ...quiet, isGone })
  expect(first).toEqual({ dead: [], suspects: new Set([b.hostInterface]), orphans: [], orphanIfbs: [] })
  expect(findDead({ ...quiet, isGone, suspects: first.suspects }).dead).toEqual([b])
  expect(findDead({ ...quiet, suspects: first.suspects })).toMatchObject({ dead: [], suspects: new Set(), orphans: [] })
})

test('orphans are veths with our mark that nobody expects, and nothing else', () => {
  const others = [
    link('cni0', { type: 'bridge' }),
    link('ifb0', { type: 'ifb' }),
    link('fairlead.1', { type: 'vxlan' }),
    link('theirs', { group: 0 }),
    link('waiting', { group: retiredGroup }),
    link('wiring'),
  ]
  expect(
    findDead({
      ...quiet,
      links: [...quiet.links, ...others, link('lost')],
      expected: new Set([...quiet.expected, 'wiring']),
    }),
  ).toMatchObject({ dead: [], orphans: [{ name: 'lost' }] })
})

test('the bandwidth device of a veth that is gone is an orphan, of no other', () => {
  const ifbs = [a.hostInterface, 'lost', 'wiring'].map((veth) => link(ifbName(veth), { type: 'ifb' }))
  expect(
    findDead({ ...quiet, links: [...quiet.links, ...ifbs], expected: new Set([...quiet.expected, 'wiring']) }),
  ).toMatchObject({ orphanIfbs: [ifbName('lost')] })
})

test.each(['before the links are read', 'while the links are read'])(
  'a veth that a DEL is about to cut off, since %s, is no orphan',
  async (since) => {
    const said: string[] = []
    const log = pino({ level: 'warn' }, { write: (line: string) => void said.push(line) })
    const busy = Promise.withResolvers<readonly Failure[]>()
    const kernel: Partial<Kernel> = {
      apply: async () => await busy.promise,
      links: async () => {
        if (since.startsWith('while')) void detach(context, [a])
        return [link(a.hostInterface)]
      },
    }
    const state = new NodeState({ stateDir: '/nowhere', clock: () => 0, log })
    state.attachments.set(a.hostInterface, a)
    const context = { kernel, state, log, retired: new RetiredVeths(kernel as Kernel, log) } as PodContext
    if (since.startsWith('before')) void detach(context, [a])
    expect(await new Reclaim(context, new CommandQueue()).run()).toBe(0)
    expect(said).toEqual([])
  },
)
