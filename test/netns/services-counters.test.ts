// Connections per Service from the counters of a real kernel, on both backends.
import { expect, test } from 'vitest'
import { ConnectionCounters } from '../../src/services/health/connection-counters.ts'
import { describeKernel, scratchNamespace, testLog } from './scratch.ts'
import { callFrom, listenIn } from './traffic.ts'

const chain = 'KUBE-SVC-AAAAAAAAAAAAAAAA'
const counted = { chain, port: { family: 4, namespace: 'ns', name: 'web', portName: '', protocol: 'tcp' } } as const
const rules = (port: number) => `*nat
:KUBE-MARK-MASQ - [0:0]
:${chain} - [0:0]
:KUBE-SEP-AAAAAAAAAAAAAAAA - [0:0]
-A ${chain} ! -s 10.9.0.0/16 -d 127.0.0.9/32 -p tcp -m comment --comment "ns/web cluster IP" -m tcp --dport 80 -j KUBE-MARK-MASQ
-A ${chain} -m comment --comment "ns/web -> 127.0.0.1:${port}" -m statistic --mode random --probability 0.5 -j KUBE-SEP-AAAAAAAAAAAAAAAA
-A ${chain} -m comment --comment "ns/web -> 127.0.0.1:${port}" -j KUBE-SEP-AAAAAAAAAAAAAAAA
-A KUBE-SEP-AAAAAAAAAAAAAAAA -p tcp -m comment --comment "ns/web" -m tcp -j DNAT --to-destination 127.0.0.1:${port}
COMMIT
`

describeKernel('connection counters', () => {
  test.each(['nft', 'legacy'] as const)(
    '%s: each connection counts once, and none is lost when the chain is written anew',
    async (iptables) => {
      await using node = await scratchNamespace({ iptables })
      await using server = await listenIn(node, 8080)
      await node.iptables.restore(4, rules(server.port))
      await node.iptables.restore(4, `*nat\n-A OUTPUT -d 127.0.0.9/32 -p tcp -m tcp --dport 80 -j ${chain}\nCOMMIT\n`)
      const counters = new ConnectionCounters({ iptables: node.iptables, log: testLog })
      counters.follow([counted])
      const connections = async () => {
        await counters.lookAtNext()
        return counters.readings[0]?.connections
      }
      expect(await connections()).toBe(0)
      for (let i = 0; i < 7; i++) expect(await callFrom(node, '127.0.0.9', 80)).toMatch(/127\.0\.0\.\d+$/)
      expect(await connections()).toBe(7)
      await node.iptables.restore(4, rules(server.port))
      for (let i = 0; i < 3; i++) await callFrom(node, '127.0.0.9', 80)
      expect(await connections()).toBe(10)
    },
  )
})
