import { expect, test } from 'vitest'
import { parseInterfaceName } from '../net/interface-name.ts'
import { wired } from './scratch-cluster.ts'
import type { Subject } from './subjects.ts'
import { wiresOf } from './wires.ts'

const at = (port: string, ...addresses: readonly string[]): Subject['local'] => ({
  ...wired(`ns/${port}`, ...addresses),
  port: parseInterfaceName(port),
})

function elements(subjects: readonly Subject[]): Record<string, string[]> | undefined {
  const table = wiresOf(subjects)
  return table && Object.fromEntries([...table.sets].map(([name, set]) => [name, [...set.elements.keys()]]))
}

test('who is isolated in a direction is held there, at its port, to all of its addresses', () => {
  const linkLocal = wired('', 'fe80::5').addresses[0]
  const subjects: Subject[] = [
    { local: { ...at('veth0', '10.0.0.5', 'fd00::5'), linkLocal }, ingress: undefined, egress: [] },
    { local: at('veth1', '10.0.0.6'), ingress: 'held', egress: 'held' },
    { local: at('veth2', '10.0.0.7'), ingress: undefined, egress: undefined },
  ]
  expect(elements(subjects)).toEqual({
    senders: ['veth0', 'veth1'],
    forged: ['veth0', 'veth1'],
    sources4: ['veth0 . 10.0.0.5', 'veth1 . 10.0.0.6'],
    sources6: ['veth0 . fd00::5', 'veth0 . fe80::5'],
    receivers: ['veth1'],
    strayed: ['veth1'],
    targets4: ['veth1 . 10.0.0.6'],
    targets6: [],
  })
})

test('pods that nobody isolates, or that another program has wired, need no table', () => {
  expect(
    elements([
      { local: at('veth0', '10.0.0.5'), ingress: undefined, egress: undefined },
      { local: wired('ns/other', '10.0.0.6'), ingress: [], egress: [] },
    ]),
  ).toBeUndefined()
})
