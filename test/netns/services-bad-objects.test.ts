// Objects that make no sense, on a real agent: what is wrong with each is said once and counted by its reason,
// everything else is programmed, and what is corrected too. The API server would refuse some of them: they are put into
// its store.
import { expect, test, vi } from 'vitest'
import { rules } from './kube-proxy-player.ts'
import { describeKernel } from './scratch.ts'
import { detectLocalFlags, service, serviceMachine, servicesPath, slice, slicesPath } from './service-machine.ts'

const created = { creationTimestamp: '2026-01-01T00:00:00Z' }

/** With what the API server would have added. */
function stored(object: object, metadata: object = {}): object {
  const { metadata: given } = object as { metadata: object }
  return { ...object, metadata: { ...given, ...created, ...metadata } }
}

function nodePort(name: string, clusterIP: string, port: number): object {
  return service(name, {
    type: 'NodePort',
    clusterIP,
    clusterIPs: [clusterIP],
    ports: [{ port: 80, nodePort: port, protocol: 'TCP' }],
  })
}

function external(name: string, clusterIP: string, externalIp: string): object {
  return service(name, { clusterIP, externalIPs: [externalIp], ports: [{ port: 80 }] })
}

const good = ['10.99.2.2', '10.99.2.3']
const misfit = ['fd00::5', '127.0.0.1', '169.254.1.1', '0.0.0.0']
/** Reason -> how many. */
const wrong = {
  'endpointslices endpoint-of-other-family': 1,
  'endpointslices endpoint-out-of-reach': 3,
  'endpointslices slice-port': 1,
  'endpointslices slice-without-service': 1,
  'endpointslices slice-of-missing-service': 1,
  'services service-port': 1,
  'services node-port-taken': 1,
  'services external-ip-taken': 1,
}
const sentences = [
  ...['fd00::5', '127.0.0.1', '169.254.1.1', '0.0.0.0'].map(
    (address) => `EndpointSlice default/web-1: endpoints \`["${address}"]\` is left out: `,
  ),
  'EndpointSlice default/web-1: ports `{"name":"zero","port":0,"protocol":"TCP"}` is left out: Expected a port from 1 to 65535',
  'EndpointSlice default/stray-1 is left out: it names no Service; give it the label kubernetes.io/service-name',
  'EndpointSlice default/lost-1 is left out: Service default/lost, which it names, does not exist; create it, or correct the label kubernetes.io/service-name',
  'Service default/web: spec.ports `{"name":"zero","port":0,"protocol":"TCP"}` is left out: Expected a port from 1 to 65535',
  'Service default/second does not get node port 30100/tcp: default/first has it already; give one of them another',
  'Service default/late does not get external IP 192.168.99.50 with port 80/tcp: default/early has it already; give one of them another',
]

describeKernel('objects that make no sense', () => {
  test('each is said once and counted; the rest is programmed, and the object itself as soon as it is right', async () => {
    await using machine = await serviceMachine('nft')
    const counts = async () =>
      Object.fromEntries(
        [
          ...(await machine.metrics()).matchAll(/^fairlead_object_problems\{resource="(\S+)",reason="(\S+)"\} (\d+)/gm),
        ].map(([, resource, reason, count]) => [`${resource} ${reason}`, Number(count)]),
      )
    const nat = async () => (await rules(machine, 'nft', 'nat')).join('\n')
    const zero = { name: 'zero', port: 0, protocol: 'TCP' }
    await machine.store(
      stored(
        service('web', {
          clusterIP: '10.254.1.1',
          clusterIPs: ['10.254.1.1'],
          ports: [{ name: '', port: 80, protocol: 'TCP' }, zero],
        }),
      ),
    )
    await machine.store(
      stored(slice('web', [...good, ...misfit], { ports: [{ name: '', port: 8080, protocol: 'TCP' }, zero] })),
    )
    await machine.store(stored(slice('stray', good), { labels: {} }))
    await machine.store(stored(slice('lost', good)))
    // Not watched, and so not seen; nothing is wrong with it.
    await machine.store(
      stored(
        service('headless', {
          clusterIP: 'None',
          clusterIPs: ['None'],
          ports: [{ name: '', port: 80, protocol: 'TCP' }],
        }),
      ),
    )
    await machine.store(stored(slice('headless', good)))
    await machine.store(stored(nodePort('first', '10.254.1.2', 30_100)))
    await machine.store(stored(nodePort('second', '10.254.1.3', 30_100)))
    await machine.store(stored(external('early', '10.254.1.4', '192.168.99.50')))
    await machine.store(
      stored(external('late', '10.254.1.5', '192.168.99.50'), { creationTimestamp: '2026-01-02T00:00:00Z' }),
    )
    for (const name of ['first', 'second', 'early', 'late']) await machine.api('POST', slicesPath, slice(name, good))
    machine.startAgent({ flags: detectLocalFlags })
    await machine.ready()
    await vi.waitFor(async () => expect(await counts()).toEqual(wrong), { timeout: 60_000, interval: 100 })

    // Two endpoints for each of five Services, and nothing that leads to the others.
    expect((await nat()).match(/DNAT --to-destination \S+/g)?.toSorted()).toEqual(
      good.flatMap((address) => Array.from({ length: 5 }, () => `DNAT --to-destination ${address}:8080`)),
    )
    for (const entrance of [
      '-d 10.254.1.1/32',
      '-d 10.254.1.3/32',
      '-d 10.254.1.5/32',
      'default/first" -m tcp --dport 30100',
      'default/early external IP',
    ])
      expect(await nat()).toContain(entrance)
    for (const refused of ['default/second" -m tcp --dport', 'default/late external IP', '--dport 0 '])
      expect(await nat()).not.toContain(refused)

    // Other changes make other syncs: nothing is said again.
    for (const n of [1, 2, 3]) {
      await machine.api(
        'POST',
        servicesPath,
        service(`later-${n}`, { clusterIP: `10.254.2.${n}`, ports: [{ port: 80 }] }),
      )
      await vi.waitFor(
        async () =>
          expect((await rules(machine, 'nft', 'filter')).join('\n')).toContain(`default/later-${n} has no endpoints`),
        { timeout: 60_000, interval: 100 },
      )
    }
    const { warnings } = machine
    expect(
      sentences.map((sentence) => [sentence, warnings.filter((warning) => warning.startsWith(sentence)).length]),
    ).toEqual(sentences.map((sentence) => [sentence, 1]))
    expect(warnings.filter((warning) => !sentences.some((sentence) => warning.startsWith(sentence)))).toEqual([])

    await machine.store(
      stored(
        service('web', {
          clusterIP: '10.254.1.1',
          clusterIPs: ['10.254.1.1'],
          ports: [
            { name: '', port: 80, protocol: 'TCP' },
            { ...zero, port: 81 },
          ],
        }),
      ),
    )
    await machine.store(
      stored(
        slice('web', [...good, '10.99.2.4'], {
          ports: [
            { name: '', port: 8080, protocol: 'TCP' },
            { ...zero, port: 8081 },
          ],
        }),
      ),
    )
    await machine.store(stored(slice('stray', good), { labels: { 'kubernetes.io/service-name': 'later-1' } }))
    await machine.store(
      stored(
        service('lost', {
          clusterIP: '10.254.1.6',
          clusterIPs: ['10.254.1.6'],
          ports: [{ name: '', port: 80, protocol: 'TCP' }],
        }),
      ),
    )
    await machine.store(stored(nodePort('second', '10.254.1.3', 30_101)))
    await machine.store(
      stored(external('late', '10.254.1.5', '192.168.99.51'), { creationTimestamp: '2026-01-02T00:00:00Z' }),
    )
    await vi.waitFor(
      async () => {
        expect(await counts()).toEqual({})
        const all = await nat()
        for (const corrected of [
          'default/web:zero cluster IP" -m tcp --dport 81',
          '10.99.2.4:8080',
          '10.99.2.4:8081',
          'default/second" -m tcp --dport 30101',
          'default/lost ->',
          '-d 192.168.99.51/32',
        ])
          expect(all).toContain(corrected)
        expect(all).toContain('default/later-1 ->')
      },
      { timeout: 60_000, interval: 100 },
    )
    expect(
      machine.log.filter(({ msg }) => msg.startsWith('no longer: Service default/')).map(({ msg }) => msg),
    ).toEqual(sentences.slice(-2).map((sentence) => `no longer: ${sentence}`))
  })
  test('a health check node port listens where node ports answer; where another program has it, that is said and counted until it is free', async () => {
    await using machine = await serviceMachine('nft')
    const checked = (name: string, clusterIP: string, healthCheckNodePort: number) =>
      service(name, {
        type: 'LoadBalancer',
        externalTrafficPolicy: 'Local',
        clusterIP,
        healthCheckNodePort,
        ports: [{ port: 80 }],
      })
    await machine.api('POST', servicesPath, checked('free', '10.254.1.1', 32_001))
    await machine.api('POST', servicesPath, checked('taken', '10.254.1.2', 32_002))
    const listening = async () => ((await machine.succeed('ss', ['-ltnH'])).match(/\S+:3200\d/g) ?? []).toSorted()
    const closed = async () =>
      (await machine.metrics()).includes(
        'fairlead_object_problems{resource="services",reason="health-check-node-port-closed"} 1',
      )
    const squatting = machine.run('sh', [
      '-c',
      'socat TCP-LISTEN:32002,bind=10.99.1.1 - & echo $! >/run/squatter; wait',
    ])
    await vi.waitFor(async () => expect(await listening()).toEqual(['10.99.1.1:32002']), {
      timeout: 60_000,
      interval: 100,
    })
    machine.startAgent({ flags: [...detectLocalFlags, '--node-port-addresses', '10.99.1.0/24,10.99.2.0/24'] })
    await machine.ready()
    await vi.waitFor(async () => expect(await closed()).toBe(true), { timeout: 60_000, interval: 100 })
    expect(await listening()).toEqual(['10.99.1.1:32001', '10.99.1.1:32002', '10.99.2.1:32001', '10.99.2.1:32002'])
    expect(
      machine.warnings.filter((warning) =>
        warning.startsWith('the health check node port of Service default/taken cannot be opened'),
      ),
    ).toHaveLength(1)

    await machine.succeed('sh', ['-c', 'kill $(cat /run/squatter)'])
    await squatting
    await machine.api('POST', servicesPath, service('next', { clusterIP: '10.254.1.3', ports: [{ port: 80 }] }))
    await vi.waitFor(async () => expect([await closed(), (await listening()).length]).toEqual([false, 4]), {
      timeout: 60_000,
      interval: 100,
    })
  })
})
