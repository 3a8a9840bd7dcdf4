import { expect, test } from 'vitest'
import { parseListeners } from './read-listeners.ts'

test('what ss prints of sockets that listen', () => {
  const text = `LISTEN 0      511    127.0.0.1:10249 0.0.0.0:*
LISTEN 0      4096   127.0.0.53%lo:53 0.0.0.0:*
LISTEN 0      511    0.0.0.0:10256 0.0.0.0:*
LISTEN 0      1024         *:8080        *:*
LISTEN 0      5        [::1]:631      [::]:*
UNCONN 0      0         [::]:8472      [::]:*
LISTEN 0      5  [::ffff:10.0.0.1]:80  *:*
`
  expect(parseListeners(text)).toEqual([
    { address: '127.0.0.1', port: 10249 },
    { address: '127.0.0.53', port: 53 },
    { address: undefined, port: 10256 },
    { address: undefined, port: 8080 },
    { address: '::1', port: 631 },
    { address: undefined, port: 8472 },
    { address: '10.0.0.1', port: 80 },
  ])
})
