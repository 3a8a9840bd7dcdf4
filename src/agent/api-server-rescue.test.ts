import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { FakeClock } from '../../test/support/fake-clock.ts'
import { parseAddress } from '../net/address.ts'
import { ApiServerRescue } from './api-server-rescue.ts'
import { loadConfig } from './config.ts'

const taking = '-A KUBE-SERVICES -d 192.168.0.10/32 -p tcp -m tcp --dport 6443 -j KUBE-EXT-6TJOOQR23HJNTL2C'
const other = taking.replace('6443', '6444')

/** A node with these rules in table nat, whose agent runs until the scope ends. */
function rescue(flags: Record<string, unknown> = {}, rules = [taking, other]) {
  const state = { failing: true, reached: false, reads: 0, restored: [] as string[], recovered: 0 }
  const warnings: unknown[] = []
  const clock = new FakeClock()
  const stop = new AbortController()
  const running = new ApiServerRescue({
    live: { current: loadConfig({ file: undefined, flags: { nodeName: 'n1', ...flags }, environment: {} }) },
    iptables: {
      readTable: async (_, table, seen) => {
        state.reads += 1
        if (table === 'nat') rules.forEach(seen)
      },
      restore: async (_, text) => void state.restored.push(text),
    },
    places: { places: [{ address: parseAddress('192.168.0.10'), port: 6443 }] },
    failing: () => state.failing,
    reached: () => state.reached,
    recovery: { announce: () => (state.recovered += 1) },
    log: { warn: (fields: unknown) => warnings.push(fields) },
    clock,
  }).run(stop.signal)
  return {
    state,
    warnings,
    clock,
    /** Until so many ms have passed on the clock. */
    async until(ms: number): Promise<void> {
      while (clock.time < ms) await setImmediate()
    },
    async [Symbol.asyncDispose]() {
      stop.abort()
      await running
    },
  }
}

test('an agent that has never reached the API server searches at once, and then every 5 minutes', async () => {
  await using r = rescue()
  await r.until(2000)
  expect(r.state.restored).toEqual([`*nat\n${taking.replace('-A', '-D')}\nCOMMIT\n`])
  expect(r.warnings).toEqual([{ rules: [taking] }])
  expect([r.state.recovered, r.state.reads]).toEqual([1, 2])
  await r.until(299_000)
  expect(r.state.reads).toBe(2)
  await r.until(302_000)
  expect(r.state.reads).toBe(4)
})

test('one that has lost it searches after a minute: a restart of the API server costs no node a read', async () => {
  await using r = rescue()
  Object.assign(r.state, { failing: false, reached: true, reads: 0 })
  await r.until(10_000)
  r.state.reads = 0
  r.state.failing = true
  await r.until(60_000)
  r.state.failing = false
  await r.until(65_000)
  r.state.failing = true
  await r.until(120_000)
  expect(r.state.reads).toBe(0)
  await r.until(130_000)
  expect(r.state.reads).toBe(2)
})

test('nothing is written where nothing is in the way', async () => {
  await using r = rescue({}, [other])
  await r.until(2000)
  expect([r.state.reads, r.state.restored, r.state.recovered, r.warnings]).toEqual([2, [], 0, []])
})

test.each([
  [{ protectNodeTraffic: false }, 0],
  [{ serviceProxy: false }, 2],
])('with %j rules of Services stay', async (flags, reads) => {
  await using r = rescue(flags)
  await r.until(2000)
  expect([r.state.reads, r.state.restored]).toEqual([reads, []])
})
