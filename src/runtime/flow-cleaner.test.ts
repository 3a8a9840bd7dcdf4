import { pino } from 'pino'
import { expect, test, vi } from 'vitest'
import { parseAddress } from '../net/address.ts'
import { CommandError } from '../kernel/command-error.ts'
import { FlowCleaner } from './flow-cleaner.ts'
import type { FlowVerdict, UdpFlow, UdpFlowFilter } from '../kernel/udp-flow.ts'

function flow(sourcePort: number, replySource = '10.244.1.5'): UdpFlow {
  return {
    source: parseAddress('192.168.0.9'),
    sourcePort,
    destination: parseAddress('192.168.0.21'),
    destinationPort: 5353,
    replySource: parseAddress(replySource),
    replySourcePort: 53,
  }
}

/** A cleaner over these flows, whose walks end when the gate opens. */
function cleaner(flows: readonly UdpFlow[], judge: (flow: UdpFlow) => FlowVerdict = () => 'end-lead') {
  const told = {
    walks: 0,
    deleted: [] as UdpFlowFilter[],
    done: [] as boolean[],
    warnings: [] as string[],
    gate: Promise.resolve(),
    idle: false,
  }
  const log = pino({ level: 'warn' }, { write: (line: string) => void told.warnings.push(line) })
  return {
    told,
    cleaner: new FlowCleaner({
      family: 4,
      log,
      kernel: {
        readUdpFlows: async (_, seen) => {
          told.walks++
          await told.gate
          for (const each of flows) seen(each)
        },
        deleteUdpFlows: async (_, filters) => {
          told.deleted.push(...filters)
          return filters.length
        },
      },
      begin: async () => (told.idle ? undefined : { judge, done: (succeeded) => void told.done.push(succeeded) }),
    }),
  }
}

test('deletes flows of one lead at once, and a single one by its whole tuple', async () => {
  const single = flow(3, '10.244.1.6')
  const { told, cleaner: work } = cleaner([flow(1), flow(2), single, flow(4, '10.244.1.7')], ({ replySource }) => {
    if (replySource === '10.244.1.7') return 'keep'
    return replySource === '10.244.1.6' ? 'end-flow' : 'end-lead'
  })
  await work.clean()
  const { source: _, sourcePort: __, ...lead } = flow(1)
  expect(told.deleted).toEqual([lead, single])
  expect(told.done).toEqual([true])
})

test('changes that come while a walk runs share the next one, which begins after it', async () => {
  const { told, cleaner: work } = cleaner([flow(1)])
  const { promise, resolve } = Promise.withResolvers<void>()
  told.gate = promise
  const first = work.clean()
  await vi.waitFor(() => expect(told.walks).toBe(1), 20_000)
  const later = [work.clean(), work.clean(), work.clean()]
  resolve()
  await Promise.all([first, ...later])
  expect(told).toMatchObject({ walks: 2, done: [true, true] })
  await work.idle()
  expect(told.walks).toBe(2)
})

test('walks no table where there is nothing to ask', async () => {
  const { told, cleaner: work } = cleaner([flow(1)])
  told.idle = true
  await work.clean()
  expect(told.walks).toBe(0)
  told.idle = false
  await work.clean()
  expect(told.walks).toBe(1)
})

test('a walk that fails keeps nobody waiting, is reported once, and is repeated until one succeeds', async () => {
  const { told, cleaner: work } = cleaner([flow(1)])
  told.gate = Promise.reject(
    new CommandError({ kind: 'not-installed', command: 'conntrack', stderr: 'conntrack: not found' }),
  )
  told.gate.catch(() => undefined)
  await work.clean()
  await work.clean()
  expect(told.done).toEqual([false, false])
  expect(told.warnings).toHaveLength(1)
  told.gate = Promise.resolve()
  await vi.waitFor(() => expect(told.done).toContain(true), 20_000)
  expect(told.deleted).toHaveLength(1)
})
