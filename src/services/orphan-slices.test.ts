import { expect, test } from 'vitest'
import type { ClusterEndpointSlice } from '../cluster/endpoint-slice.ts'
import type { ClusterService } from '../cluster/service.ts'
import { OrphanSlices } from './orphan-slices.ts'

const slices = (...services: readonly string[]) =>
  new Map(
    services.map((service) => [
      `ns/${service}-1`,
      { namespace: 'ns', name: `${service}-1`, service } as ClusterEndpointSlice,
    ]),
  )
const services = (...names: readonly string[]) =>
  new Map(names.map((name) => [`ns/${name}`, { namespace: 'ns', name } as ClusterService]))

/** An API server that has these Services, watched or not. */
function orphans(...existing: readonly string[]) {
  const asked: string[] = []
  const server = { down: false, existing: new Set(existing) }
  const found = new OrphanSlices(async ({ name }) => {
    asked.push(name)
    if (server.down) throw new Error('no answer')
    return server.existing.has(name)
  })
  return {
    asked,
    server,
    found,
    named: () => found.problems.map(({ sentence }) => /Service ns\/(\S+),/.exec(sentence)?.[1]),
  }
}

test('what is put right within the usual time is never told of, nor asked about', async () => {
  const { found, asked, named } = orphans()
  await found.look(services(), slices('web'), 0)
  await found.look(services('web'), slices('web'), 9000)
  await found.look(services(), slices('web'), 20_000)
  await found.look(services(), slices(), 30_000)
  await found.look(services(), slices(), 60_000)
  expect([asked, named()]).toEqual([[], []])
})

test('a Service that stays away is asked for once, though other things change, and told of until it comes', async () => {
  const { found, asked, named } = orphans('headless')
  for (const now of [0, 5000, 10_000, 15_000, 60_000]) await found.look(services(), slices('typo', 'headless'), now)
  expect([asked.toSorted(), named()]).toEqual([['headless', 'typo'], ['typo']])
  await found.look(services('typo'), slices('typo', 'headless'), 61_000)
  expect(named()).toEqual([])
})

test('a server that does not answer accuses nobody, and is asked again', async () => {
  const { found, server, asked, named } = orphans()
  server.down = true
  const [watched, all] = [services(), slices('typo')]
  for (const now of [0, 10_000, 12_000]) await found.look(watched, all, now)
  expect([asked.length, named()]).toEqual([1, []])
  server.down = false
  await found.look(watched, all, 20_000)
  expect([asked.length, named()]).toEqual([2, ['typo']])
  // A headless one is made for it: nobody tells us.
  server.existing.add('typo')
  await found.look(watched, all, 700_000)
  expect(named()).toEqual([])
})
