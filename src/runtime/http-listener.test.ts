import { expect, test } from 'vitest'
import { parseListenAddress } from './http-listener.ts'

test.each([
  ['127.0.0.1:10249', '127.0.0.1', 10_249],
  ['[::1]:10249', '::1', 10_249],
  [':10256', undefined, 10_256],
  // Load balancers ask kube-proxy's default address over IPv6 too.
  ['0.0.0.0:10256', undefined, 10_256],
])('%s', (text, host, port) => {
  expect(parseListenAddress(text)).toEqual({ host, port })
})
