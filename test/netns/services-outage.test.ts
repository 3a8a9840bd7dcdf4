// The API server is out of reach for a while, and the cluster goes on changing: nothing is flushed meanwhile, nothing
// is read anew afterwards, and the rules are right. FAIRLEAD_LONG makes the while a minute.
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test, vi } from 'vitest'
import { type AgentMachine, until } from './agent-machine.ts'
import { describeKernel } from './scratch.ts'
import {
  addressOf,
  addServices,
  countersOf,
  detectLocalFlags,
  echoServer,
  service,
  serviceMachine,
  servicesPath,
  slice,
  slicesPath,
  SteadyClient,
  written,
} from './service-machine.ts'

const fairlead = join(import.meta.dirname, '../../bin/fairlead')
const outageMs = process.env['FAIRLEAD_LONG'] === '1' ? 60_000 : 5000
/** In a table of its own, which no repair touches. */
const outage =
  'table inet outage { chain input { type filter hook input priority -300; tcp dport 6443 reject with tcp reset; }; }'

/** What the agent would still change, going by what the API server has now: empty when the rules are right. */
async function difference(machine: AgentMachine): Promise<string> {
  const lists = await Promise.all(
    Object.entries({
      '/api/v1/services': 'Service',
      '/apis/discovery.k8s.io/v1/endpointslices': 'EndpointSlice',
      '/api/v1/nodes': 'Node',
    }).map(async ([path, kind]) => {
      const { items } = (await machine.api('GET', path)) as { items: object[] }
      return items.map((item) => ({
        apiVersion: kind === 'EndpointSlice' ? 'discovery.k8s.io/v1' : 'v1',
        kind,
        ...item,
      }))
    }),
  )
  const input = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: lists.flat() })
  const { stdout, stderr } = await machine.run(
    fairlead,
    ['render', '-f', '-', '--node', 'n1', '--diff', '--cluster-cidr', '10.244.0.0/16'],
    { input },
  )
  return stdout + stderr
}

async function reflectors(machine: AgentMachine, what: 'relists' | 'reconnects'): Promise<Record<string, number>> {
  const found = (await machine.metrics()).matchAll(
    new RegExp(`^fairlead_reflector_${what}_total\\{resource="(\\w+)"\\} (\\d+)`, 'gm'),
  )
  return Object.fromEntries([...found].map(([, resource, count]) => [resource, Number(count)]))
}

describeKernel('Services while the API server is out of reach', () => {
  test.each(['nft', 'legacy'])('%s', { timeout: outageMs + 240_000 }, async (backend) => {
    await using machine = await serviceMachine(backend)
    await using _server = echoServer(machine)
    await addServices(machine, 1, 70)
    machine.startAgent({ flags: [...detectLocalFlags, '--log-level', 'debug'] })
    await machine.ready()
    await vi.waitFor(async () => expect(await difference(machine)).toBe(''), { timeout: 60_000, interval: 200 })
    await machine.run('ip', [
      'netns',
      'exec',
      'client',
      'socat',
      '-T1',
      '-u',
      `TCP:${addressOf(2)}:80,connect-timeout=1`,
      '-',
    ])
    const used = await countersOf(machine, backend, 's2')
    expect(used.filter((line) => line.startsWith('[1:'))).not.toEqual([])
    await using client = new SteadyClient(machine, addressOf(1))
    await client.started()

    const [writes, before] = [written(machine, backend).length, await reflectors(machine, 'reconnects')]
    await machine.succeed('nft', [outage])
    await machine.run('ss', ['-K', 'dport', '=', '6443'])
    await until(
      () => machine.warnings.some((warning) => warning.startsWith('Reading /api/v1/services failed')),
      'the agent to miss the API server',
    )
    // The cluster goes on: these the agent has to hear of afterwards.
    for (let n = 1; n <= 30; n++) await machine.store(slice(`s${n + 30}`, ['10.99.2.2', `10.99.3.${n}`]))
    await sleep(outageMs)
    expect(
      written(machine, backend)
        .slice(writes)
        .filter((text) => text.includes('KUBE-')),
    ).toEqual([])
    expect(await countersOf(machine, backend, 's2')).toEqual(used)
    const tried = machine.log.filter(({ msg }) => msg.startsWith('Reading /api/v1/services failed')).length
    await machine.succeed('nft', ['delete', 'table', 'inet', 'outage'])

    // Churn as soon as it is back.
    await addServices(machine, 71, 90)
    for (let n = 41; n <= 60; n++) await machine.api('PUT', `${slicesPath}/s${n}-1`, slice(`s${n}`, [`10.99.4.${n}`]))
    for (let n = 61; n <= 70; n++) await machine.api('DELETE', `${servicesPath}/s${n}`)
    await machine.api('POST', servicesPath, service('last', { clusterIP: '10.254.9.9', ports: [{ port: 80 }] }))
    await vi.waitFor(async () => expect(await difference(machine)).toBe(''), { timeout: 90_000, interval: 500 })

    expect(await countersOf(machine, backend, 's2')).toEqual(used)
    const { answered, failures } = await client.stop()
    expect(failures).toEqual([])
    expect(answered).toBeGreaterThan(100)
    // Each watch went on from where it was: no list was read again, and every try waited longer than the one before.
    expect(Object.values(await reflectors(machine, 'relists')).filter((count) => count > 0)).toEqual([])
    const again = Object.entries(await reflectors(machine, 'reconnects')).map(
      ([resource, count]) => [resource, count - (before[resource] ?? 0)] as const,
    )
    console.log(
      `${backend}: ${outageMs / 1000} s without the API server, ${tried} tries to watch Services, watches opened again: ${again.map((each) => each.join(' ')).join(', ')}; ${answered} connections, none failed`,
    )
    expect(Math.max(...again.map(([, count]) => count))).toBeLessThan(15)
    expect(tried).toBeLessThan(12)
  })
})
