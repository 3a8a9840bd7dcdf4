import { expect, test } from 'vitest'
import { isNews } from './monitor.ts'

// As `ip monitor label` and `bridge monitor fdb` print them (iproute2 6.1).
test.each([
  '[NEIGH]Deleted 172.30.0.0 dev fairlead.1 FAILED ',
  '[NEIGH]172.30.0.0 dev fairlead.1 lladdr 02:58:ac:1e:00:00 PERMANENT ',
  '[ROUTE]Deleted 172.30.0.0/24 via 172.30.0.0 dev fairlead.1 proto 98 onlink ',
  '[LINK]Deleted 7: fairlead.1: <BROADCAST,MULTICAST> mtu 1450 qdisc noop state DOWN group 98 ',
  'Deleted 02:58:ac:1e:00:00 dev fairlead.1 dst 192.168.0.22 self permanent',
])('what may be damage is news: %s', (line) => {
  expect(isNews(line)).toBe(true)
})

test.each([
  '',
  '[NEIGH]192.168.0.22 dev eth0 lladdr a6:98:6b:de:47:d4 REACHABLE ',
  '[NEIGH]192.168.0.22 dev eth0 lladdr a6:98:6b:de:47:d4 PROBE ',
  '[NEIGH]Deleted 192.168.0.22 dev eth0 lladdr a6:98:6b:de:47:d4 STALE ',
  '[NEIGH]Deleted 0.0.0.0 dev lo lladdr 00:00:00:00:00:00 NOARP ',
  '0a:58:ac:1e:01:03 dev veth9e560359c48 master cni0',
])('what a busy node says all day is none: %s', (line) => {
  expect(isNews(line)).toBe(false)
})
