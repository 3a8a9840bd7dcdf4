import { statSync } from 'node:fs'
import { expect, test } from 'vitest'
import { checkNetns } from './netns-identity.ts'

const seenAt = (path: string): string => `${statSync(path).dev}:${statSync(path).ino}`

test.each([
  ['gone for both', '/run/netns/ft-none', undefined, 'network namespace /run/netns/ft-none does not exist'],
  [
    'there for the runtime alone',
    '/run/netns/ft-none',
    '4:4026532281',
    "the agent does not see the runtime's namespace at /run/netns/ft-none",
  ],
  [
    'a namespace for the runtime, the file below it for us',
    '/etc/hostname',
    '4:4026532281',
    "the agent does not see the runtime's namespace at /etc/hostname",
  ],
  [
    'a plain file, and the runtime said nothing',
    '/etc/hostname',
    undefined,
    "the agent does not see the runtime's namespace at /etc/hostname",
  ],
  [
    'a plain file for both',
    '/etc/hostname',
    seenAt('/etc/hostname'),
    'CNI_NETNS /etc/hostname is not a network namespace',
  ],
  ['ours', '/proc/self/ns/net', seenAt('/proc/self/ns/net'), "network namespace /proc/self/ns/net is the node's own"],
  [
    'a namespace that is not the one the runtime means',
    '/proc/self/ns/uts',
    seenAt('/proc/self/ns/net'),
    "the agent does not see the runtime's namespace at /proc/self/ns/uts",
  ],
])('a path that is %s is refused', (_, path, seenByRuntime, sentence) => {
  expect(() => checkNetns(path, seenByRuntime)).toThrow(expect.objectContaining({ code: 8, message: sentence }))
})
