import { expect, test } from 'vitest'
import { nearNames } from './near-names.ts'

const names = ['shop/web', 'shop/web-front', 'shop/database', 'default/near', 'node1', 'default/a', 'default/db']

test.each([
  ['wbe', ['shop/web']],
  ['shop/wbe', ['shop/web']],
  ['front', ['shop/web-front']],
  ['databse', ['shop/database']],
  ['node2', ['node1']],
  ['other/web', ['shop/web', 'shop/web-front']],
  ['zzz', []],
  ['sauna', []],
])('%s may mean %j', (wanted, near) => {
  expect(nearNames(wanted, names)).toEqual(near)
})
