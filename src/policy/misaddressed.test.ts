import { expect, test } from 'vitest'
import { parseInterfaceName } from '../net/interface-name.ts'
import { MisaddressedCounts } from './misaddressed.ts'
import { wired } from './scratch-cluster.ts'
import type { Subject } from './subjects.ts'

const at = (key: string, port?: string): Subject['local'] => ({
  ...wired(key, '10.244.1.6'),
  port: port === undefined ? undefined : parseInterfaceName(port),
})
const counts = (forged: number, strayed: number) =>
  new Map([
    ['forged', new Map([['veth0', forged]])],
    ['strayed', new Map([['veth0', strayed]])],
  ])

test('counts add up over sets that were written anew, in the directions in which the pod is isolated', () => {
  const both: Subject = { local: at('shop/db', 'veth0'), ingress: 'held', egress: [] }
  const counted = new MisaddressedCounts()
  counted.note(counts(5, 1), [both])
  counted.note(counts(2, 4), [both])
  // Nothing was read: what was counted stays.
  counted.note(new Map(), [both])
  expect(counted.readings).toEqual([
    { reason: 'source', namespace: 'shop', pod: 'db', packets: 7 },
    { reason: 'destination', namespace: 'shop', pod: 'db', packets: 4 },
  ])
  counted.note(counts(2, 5), [{ ...both, egress: undefined }])
  expect(counted.readings).toEqual([{ reason: 'destination', namespace: 'shop', pod: 'db', packets: 5 }])
})

test('a pod with two wires has one count, and one that another program has wired none', () => {
  const counted = new MisaddressedCounts()
  const subjects: Subject[] = [
    { local: at('shop/db', 'veth0'), ingress: undefined, egress: [] },
    { local: at('shop/db', 'veth1'), ingress: undefined, egress: [] },
    { local: at('shop/other'), ingress: [], egress: [] },
  ]
  counted.note(
    new Map([
      [
        'forged',
        new Map([
          ['veth0', 2],
          ['veth1', 3],
        ]),
      ],
    ]),
    subjects,
  )
  expect(counted.readings).toEqual([{ reason: 'source', namespace: 'shop', pod: 'db', packets: 5 }])
})
