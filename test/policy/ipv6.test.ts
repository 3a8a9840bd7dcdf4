// The reachability matrix over IPv6: the named policy sets that say nothing of addresses, and blocks of IPv6, with real
// packets, cell by cell beside the oracle.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { describeKernel } from '../netns/scratch.ts'
import { isolationCases } from './cases/isolation-cases.ts'
import { peerCases } from './cases/peer-cases.ts'
import { portCases } from './cases/port-cases.ts'
import { named, outOfXa, type PolicyCase, xaFrom, xaTo } from './cases/policy-case.ts'
import { Ipv6Machine } from './ipv6-machine.ts'

const withoutBlocks = [...isolationCases, ...peerCases, ...portCases].filter(
  (each) => !JSON.stringify(each).includes('ipBlock'),
)
/**
 * What they mean is one thing for both families, and the matrix of IPv4 asks them all: some of each kind tell that it
 * is.
 */
const chosen = withoutBlocks.filter((_, i) => process.env['FAIRLEAD_LONG'] !== undefined || i % 6 === 0)

const blockCases: readonly PolicyCase[] = [
  ['blocks: one address outside', xaFrom({ ipBlock: { cidr: 'fd00::100/128' } })],
  ['blocks: everything of IPv6', xaFrom({ ipBlock: { cidr: '::/0' } })],
  ['blocks: everything of IPv4 holds nobody', xaFrom({ ipBlock: { cidr: '0.0.0.0/0' } })],
  [
    'blocks: a network but for one address, and for a part of it',
    xaFrom({ ipBlock: { cidr: 'fd00::/64', except: ['fd00::150/128', 'fd00::20/124'] } }),
  ],
  ['blocks: the pods of a node', xaFrom({ ipBlock: { cidr: 'fd00:244:2::/64' } })],
  ['blocks: another node', xaFrom({ ipBlock: { cidr: 'fd00::22/128' } })],
  [
    'blocks: one of IPv4 beside one of IPv6',
    xaFrom({ ipBlock: { cidr: '10.0.0.0/8' } }, { ipBlock: { cidr: 'fd00::150/128' } }),
  ],
  ['blocks: out to all but the pods', xaTo({ ipBlock: { cidr: '::/0', except: ['fd00:244::/32'] } })],
  [
    'blocks: out to one address, at a range of ports',
    outOfXa({
      egress: [
        {
          to: [{ ipBlock: { cidr: 'fd00::100/128' } }, { podSelector: named('b') }],
          ports: [{ protocol: 'UDP', port: 81, endPort: 90 }],
        },
      ],
    }),
  ],
]

describeKernel('reachability over IPv6', () => {
  let machine: Ipv6Machine
  beforeAll(async () => {
    machine = await Ipv6Machine.start()
    // Neighbours find each other: on a new bridge the first solicitations are lost.
    await machine.enforce()
    await machine.differences()
  })
  afterAll(async () => await machine[Symbol.asyncDispose]())

  test.each<PolicyCase>([['without policies everyone reaches everyone'], ...chosen, ...blockCases])(
    '%s',
    async (_, ...policies) => {
      await machine.enforce(...policies)
      expect(await machine.differences()).toBe('')
    },
  )
})
