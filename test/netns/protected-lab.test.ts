// What nodes need for themselves, on two nodes: Services and pods that claim the API server's address and port, the VXLAN
// port and kubelets' ports leave the overlay and the agents as they are, get everything else, and say so in their Events.
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { describeKernel } from './scratch.ts'
import { echoPod, root, TestLab } from './test-lab.ts'

const lab = new TestLab(`ft-protected-${process.pid}`)
const eventually = { timeout: 60_000, interval: 300 }
const apiServer = '192.168.0.10'
const [node1, node2] = ['192.168.0.21', '192.168.0.22']

interface Listed {
  readonly items: readonly {
    readonly reason: string
    readonly message: string
    readonly involvedObject: { readonly kind: string; readonly name: string; readonly uid: string }
  }[]
}

const service = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'greedy' },
  spec: {
    selector: { app: 'srv' },
    externalIPs: [apiServer, node1, node2],
    ports: [
      { name: 'api', port: 6443, targetPort: 8080 },
      { name: 'vxlan', port: 8472, targetPort: 8080, protocol: 'UDP' },
      { name: 'kubelet', port: 10_250, targetPort: 8080 },
      { name: 'web', port: 80, targetPort: 8080 },
    ],
  },
}
const hostPort = (containerPort: number, number: number, protocol: string, hostIP?: string) => ({
  containerPort,
  hostPort: number,
  protocol,
  ...(hostIP === undefined ? {} : { hostIP }),
})
const pod = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'ports' },
  spec: {
    nodeName: 'node2',
    terminationGracePeriodSeconds: 1,
    containers: [
      {
        name: 'c',
        image: 'echo',
        ports: [
          hostPort(8472, 8472, 'UDP'),
          hostPort(8080, 10_256, 'TCP'),
          hostPort(8081, 10_250, 'TCP', node2),
          hostPort(8082, 8090, 'TCP'),
        ],
      },
    ],
  },
}

/** "POD" that answers; the empty text where none does. */
async function ask(enter: readonly string[], target: string): Promise<string> {
  const words = ['timeout', '5', process.execPath, join(root, 'dist/echo.mjs'), 'ask', target.split(' ')[0]!]
  const { stdout } = await lab.run([...enter, ...words, target.split(' ')[1]!])
  return stdout === '' ? '' : (JSON.parse(stdout) as { pod: string }).pod
}

async function events(kind: string): Promise<Listed['items']> {
  const { items } = JSON.parse(await lab.succeed(['kubectl', 'get', 'events', '-o', 'json'])) as Listed
  return items.filter(({ reason, involvedObject }) => reason.endsWith('Protected') && involvedObject.kind === kind)
}

describeKernel('what nodes need, on two nodes', () => {
  let near = ''
  let far = ''
  beforeAll(async () => {
    await lab.succeed(['up', '--nodes', '2'])
    const srv = echoPod('far', 'node2') as { metadata: object }
    await lab.apply(echoPod('near', 'node1'), { ...srv, metadata: { ...srv.metadata, labels: { app: 'srv' } } })
    await lab.readyPods(2)
    near = (await lab.readyPod('near')).address
    far = (await lab.readyPod('far')).address
  })
  afterAll(async () => {
    await lab[Symbol.asyncDispose]()
  })

  async function overlayWorks(): Promise<void> {
    expect(await ask(['exec', 'near', '--'], `${far} 8080/TCP`)).toBe('far')
    expect(await ask(['exec', 'far', '--'], `${near} 8080/TCP`)).toBe('near')
  }

  test('no Service takes it: the overlay carries on, and an agent that starts reaches the API server', async () => {
    await overlayWorks()
    await lab.apply(service)
    for (const address of [apiServer, node1, node2])
      await vi.waitFor(
        async () => expect(await ask(['node', 'node1', '--'], `${address} 80/TCP`)).toBe('far'),
        eventually,
      )
    await overlayWorks()
    await lab.succeed(['agent', 'stop', 'node1'])
    await lab.succeed(['agent', 'start', 'node1'])
    await vi.waitFor(async () => expect((await lab.run(['status'])).exitCode).toBe(0), eventually)
    await lab.delete(echoPod('near', 'node1'))
    await lab.apply(echoPod('near', 'node1'))
    near = (await lab.readyPod('near')).address
    await overlayWorks()

    const refused = async () => (await events('Service')).map(({ message }) => message).toSorted()
    await vi.waitFor(async () => expect(await refused()).toHaveLength(5), eventually)
    const sentence = (port: string, address: string, place: string, by: string) =>
      `Service default/greedy:${port} does not get external IP ${address} with port ${place}: ${by} needs it; give the Service another, or set protectNodeTraffic to false`
    expect(await refused()).toEqual(
      [
        sentence('api', apiServer, '6443/tcp', 'the API server'),
        ...[node1, node2].flatMap((node) => [
          sentence('vxlan', node, '8472/udp', 'the VXLAN of the nodes'),
          sentence('kubelet', node, '10250/tcp', 'the kubelet'),
        ]),
      ].toSorted(),
    )
    const uid = await lab.succeed(['kubectl', 'get', 'service', 'greedy', '-o', 'jsonpath={.metadata.uid}'])
    expect((await events('Service')).map(({ involvedObject }) => involvedObject.uid)).toEqual(Array(5).fill(uid.trim()))
    expect(await lab.succeed(['kubectl', 'describe', 'service', 'greedy'])).toMatch(/Warning +ExternalIPProtected /)
    await lab.delete(service)
  })

  test('no host port takes it: the pod starts without, with the others, and its Events say which', async () => {
    await lab.apply(pod)
    await lab.readyPod('ports')
    await vi.waitFor(async () => expect(await ask(['outside', '--'], `${node2} 8090/TCP`)).toBe('ports'), eventually)
    await overlayWorks()
    const health = ['timeout', '5', 'socat', '-', `TCP:${node2}:10256,connect-timeout=2`]
    expect((await lab.run(['outside', '--', ...health], 'GET /livez HTTP/1.0\r\n\r\n')).stdout).toContain('200 OK')
    const refused = async () =>
      (await events('Pod')).map(({ message }) => /host port (\S+)(?: on (\S+))?: (.*) needs/.exec(message)?.slice(1))
    await vi.waitFor(async () => expect(await refused()).toHaveLength(3), eventually)
    expect((await refused()).map(String).toSorted()).toEqual([
      `10250/tcp,${node2},the kubelet`,
      "10256/tcp,,the agent's health endpoint",
      '8472/udp,,the VXLAN of the nodes',
    ])
    expect(await lab.succeed(['kubectl', 'describe', 'pod', 'ports'])).toMatch(/Warning +HostPortProtected /)
    await lab.delete(pod)
  })
})
