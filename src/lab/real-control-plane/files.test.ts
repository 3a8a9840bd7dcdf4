import { expect, test } from 'vitest'
import { authenticate } from '../apiserver/authentication.ts'
import { tokenFile } from './files.ts'

test('lists every possible user with the token and groups of the lab', () => {
  const lines = tokenFile('key').trim().split('\n')
  const users = lines.map((line) => {
    const [, token = '', name, uid, groups = ''] = /^([^,]+),([^,]+),([^,]+),"([^"]+)"$/.exec(line) ?? []
    expect(authenticate('key', `Bearer ${token}`)).toMatchObject({ name, groups: groups.split(',') })
    return uid
  })
  expect(users).toHaveLength(new Set(users).size)
  expect(users).toEqual(
    expect.arrayContaining(['admin', 'controllers', 'agent-node1', 'kubelet-node1', 'agent-node64', 'kubelet-node64']),
  )
  expect(lines[0]).toMatch(/,kubernetes-admin,admin,"system:masters,/)
})
