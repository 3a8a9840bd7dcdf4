import { pino } from 'pino'
import { expect, test } from 'vitest'
import { ConnectionCounters, connectionsIn } from './connection-counters.ts'

const port = { family: 4, namespace: 'ns', name: 'web', portName: '', protocol: 'tcp' } as const
const [one, two] = [
  { chain: 'KUBE-SVC-A', port },
  { chain: 'KUBE-SVL-B', port },
]

function counters(kernel: Record<string, number>) {
  const asked: string[] = []
  const rulesOf = (_: unknown, __: unknown, chain: string) => {
    asked.push(chain)
    return Promise.resolve(
      kernel[chain] === undefined ? undefined : [`-N ${chain}`, `-A ${chain} -c ${kernel[chain]} 0 -j KUBE-SEP-X`],
    )
  }
  return { asked, counters: new ConnectionCounters({ iptables: { rulesOf }, log: pino({ level: 'silent' }) }) }
}

test('connections are the packets that left for an endpoint', () => {
  expect(
    connectionsIn([
      '-N KUBE-SVC-A',
      '-A KUBE-SVC-A ! -s 172.30.0.0/16 -d 10.254.0.9/32 -p tcp -m comment --comment "ns/web cluster IP" -m tcp --dport 80 -c 4 240 -j KUBE-MARK-MASQ',
      '-A KUBE-SVC-A -m comment --comment "ns/web -> 172.30.0.2:80" -m statistic --mode random --probability 0.50000000000 -c 7 420 -j KUBE-SEP-X',
      '-A KUBE-SVC-A -m comment --comment "ns/web -> 172.30.1.2:80" -c 5 300 -j KUBE-SEP-Y',
    ]),
  ).toBe(12)
})

test('counting starts with the first look, goes on over a chain written anew, and ends with its chain', async () => {
  const kernel: Record<string, number> = { 'KUBE-SVC-A': 100, 'KUBE-SVL-B': 3 }
  const { counters: tracker, asked } = counters(kernel)
  const total = () => tracker.readings.map(({ chain, connections }) => `${chain} ${connections}`)
  const round = async () => {
    await tracker.lookAtNext()
    await tracker.lookAtNext()
  }
  tracker.follow([one, two])
  await round()
  expect([asked, total()]).toEqual([
    ['KUBE-SVC-A', 'KUBE-SVL-B'],
    ['KUBE-SVC-A 0', 'KUBE-SVL-B 0'],
  ])
  kernel['KUBE-SVC-A'] = 110
  await round()
  kernel['KUBE-SVC-A'] = 4
  await round()
  expect(total()).toEqual(['KUBE-SVC-A 14', 'KUBE-SVL-B 0'])
  tracker.follow([one])
  expect(total()).toEqual(['KUBE-SVC-A 14'])
  delete kernel['KUBE-SVC-A']
  await round()
  expect(total()).toEqual(['KUBE-SVC-A 14'])
})
