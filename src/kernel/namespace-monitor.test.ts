import { expect, test } from 'vitest'
import { namespaceOf } from './namespace-monitor.ts'

test.each([
  ['[nsid 12][ROUTE]Deleted default via 10.244.1.1 dev eth0 ', 12],
  ['[nsid 0][LINK]2: eth0@if3: <BROADCAST,MULTICAST> mtu 1450 qdisc noqueue state DOWN group default ', 0],
  ['[nsid current][LINK]3: veth0@if2: <BROADCAST,MULTICAST,UP> mtu 1450 master cni0 state DOWN ', undefined],
  ['    link/ether 0a:58:0a:f4:01:05 brd ff:ff:ff:ff:ff:ff link-netnsid 0', undefined],
  ['[LINK]3: veth0', undefined],
])('%s is news of %s', (line, namespace) => {
  expect(namespaceOf(line)).toBe(namespace)
})
