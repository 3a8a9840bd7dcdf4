// refuseUnassigned on a real agent: what is sent into a ServiceCIDR and meets no Service is refused at once, where it
// would leave by the default route and never be answered.
import { expect, test, vi } from 'vitest'
import { until } from './agent-machine.ts'
import { rules } from './kube-proxy-player.ts'
import { describeKernel } from './scratch.ts'
import { addressOf, addServices, detectLocalFlags, echoServer, serviceMachine } from './service-machine.ts'

describeKernel('addresses that no Service has', () => {
  test.each(['nft', 'legacy'])(
    'are refused in the blocks of every ServiceCIDR, and nowhere else: %s',
    async (backend) => {
      await using machine = await serviceMachine(backend)
      await using _server = echoServer(machine)
      await machine.succeed('ip', ['route', 'add', 'default', 'dev', 'uplink'])
      await addServices(machine, 1, 2)
      machine.startAgent({ flags: [...detectLocalFlags, '--refuse-unassigned', 'true'] })
      await machine.ready()
      const from = { client: ['ip', 'netns', 'exec', 'client'], node: ['env'] } as const
      const connect = async (client: keyof typeof from, to: string) => {
        const [program = '', ...args] = [...from[client], 'socat', '-T1', '-u', `TCP:${to},connect-timeout=0.5`, '-']
        const { stdout, stderr } = await machine.run(program, args)
        return stdout.trim() || /(Connection refused|Connection timed out|No route to host)/.exec(stderr)?.[1]
      }
      await vi.waitFor(async () => expect(await connect('client', `${addressOf(1)}:80`)).toBe('hello'), {
        timeout: 60_000,
        interval: 100,
      })
      for (const client of ['client', 'node'] as const) {
        expect(await connect(client, `${addressOf(2)}:80`)).toBe('hello')
        for (const nobody of [`${addressOf(2)}:81`, '10.254.200.1:80'])
          expect(await connect(client, nobody)).toBe('Connection refused')
      }
      expect(await connect('client', '10.200.0.9:80')).not.toBe('Connection refused')

      const other = {
        apiVersion: 'networking.k8s.io/v1',
        kind: 'ServiceCIDR',
        metadata: { name: 'second' },
        spec: { cidrs: ['10.200.0.0/24'] },
      }
      await machine.api('POST', '/apis/networking.k8s.io/v1/servicecidrs', other)
      await until(
        async () => (await connect('client', '10.200.0.9:80')) === 'Connection refused',
        'the second block to be refused',
      )
      await machine.api('DELETE', '/apis/networking.k8s.io/v1/servicecidrs/second')
      await until(
        async () => !(await rules(machine, backend, 'filter')).some((rule) => rule.includes('10.200.0.0/24')),
        'the second block to be free again',
      )
      expect(machine.warnings).toEqual([])
    },
  )
})
