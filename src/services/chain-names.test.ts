import crypto from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { chainNames, endpointChain, shortHash } from './chain-names.ts'

test.each([
  ['default/kubernetes:https', 'tcp', 'NPX46M4PTMTKRN6Y'],
  ['kube-system/kube-dns:dns', 'udp', 'TCOU7JCQXEZGVUNU'],
  ['ns1/svc1:p80', 'tcp', 'XPGD46QRK7WJZT7O'],
] as const)('the chains of %s over %s are those that kube-proxy makes', (id, protocol, digest) => {
  expect(chainNames({ id, protocol })).toEqual({
    cluster: `KUBE-SVC-${digest}`,
    local: `KUBE-SVL-${digest}`,
    external: `KUBE-EXT-${digest}`,
    firewall: `KUBE-FW-${digest}`,
  })
})

test.each([
  ['10.180.0.1:80', 'KUBE-SEP-SXIVWICOYRO3J4NJ'],
  ['[fd00::1]:80', 'KUBE-SEP-T5UNFIPVCZXM3U7X'],
])('the chain of endpoint %s is %s', (endpoint, chain) => {
  expect(endpointChain({ id: 'ns1/svc1:p80', protocol: 'tcp' }, endpoint)).toBe(chain)
})

test('whatever the names, a chain has at most the 28 characters that the kernel takes, and two ports never share one', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.string(), { minLength: 2, maxLength: 40 }), (texts) => {
      const names = texts.map((id) => chainNames({ id, protocol: 'sctp' }))
      const all = names.flatMap((each) => Object.values<string>({ ...each }))
      expect(new Set(all).size).toBe(all.length)
      for (const name of all) expect(name).toMatch(/^KUBE-(SVC|SVL|EXT|FW)-[A-Z2-7]{16}$/)
      for (const text of texts) expect(shortHash(text)).toBe(base32(text))
    }),
  )
})

/** By the letter of RFC 4648, bit by bit. */
function base32(text: string): string {
  const bits = [...new Uint8Array(crypto.hash('sha256', text, 'buffer'))]
    .map((byte) => byte.toString(2).padStart(8, '0'))
    .join('')
  return Array.from(
    { length: 16 },
    (_, i) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'[Number.parseInt(bits.slice(i * 5, i * 5 + 5), 2)],
  ).join('')
}
