// HTTP that is none, or not quite, around a request that may be good: no pod must come of it.
import { malformedBody } from './malformed.ts'
import type { Random } from './random.ts'

/** As the CNI binary sends a body. */
export function httpOf(body: Buffer): Buffer {
  return Buffer.concat([
    Buffer.from(
      `POST /cni HTTP/1.1\r\nHost: fairlead\r\nContent-Type: application/octet-stream\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n`,
    ),
    body,
  ])
}

/** Bytes that are wrong as HTTP, or wrong in their body, or both; never an empty line alone, which a server ignores. */
export function damagedHttp(random: Random): Buffer {
  const whole = httpOf(malformedBody(random))
  const head = whole.indexOf('\r\n\r\n')
  const replaced = (from: string | RegExp, to: string): Buffer =>
    Buffer.concat([
      Buffer.from(
        whole.toString('latin1', 0, head).replace(from, () => to),
        'latin1',
      ),
      whole.subarray(head),
    ])
  const makers: readonly (() => Buffer)[] = [
    () => Buffer.concat([Buffer.from('x'), random.bytes(random.within(1, 2000))]),
    () => whole.subarray(0, random.within(1, whole.length - 1)),
    () => replaced('POST', random.pick(['GET', 'PUT', 'DELETE', 'post', 'BREW', 'P\u0000ST', ' POST'])),
    () =>
      replaced(
        '/cni',
        random.pick(['/', '/cni/', '/CNI', '//cni', '/cni?x', '*', '/%63ni', `/${'x'.repeat(20_000)}`, '/\u0001']),
      ),
    () => replaced('HTTP/1.1', random.pick(['HTTP/9.9', 'HTTP/1.', 'http/1.1', 'ICY'])),
    () =>
      replaced(
        /Content-Length: \d+/,
        `Content-Length: ${random.pick(['-1', 'x', '1e3', '99999999999999999999', '1 2', '0x10', '4'])}`,
      ),
    () => replaced(/Content-Length: \d+/, `Content-Length: ${whole.length + random.within(1, 5000)}`),
    () => replaced(/Content-Length: \d+/, 'Transfer-Encoding: chunked'),
    () => replaced(/Content-Length: \d+/, 'Content-Length: 5\r\nContent-Length: 6'),
    () =>
      replaced(
        'Host: fairlead',
        random.pick(['', 'Host', 'Host: a\u0000b', ': x', `X: ${'y'.repeat(20_000)}`, 'X-\u007f: 1', 'Ho st: x']),
      ),
    () =>
      Buffer.concat([
        whole,
        Buffer.from(random.pick(['GET / HTTP/1.1\r\n\r\n', '\r\n\r\n', 'x'])),
        random.bytes(random.below(100)),
      ]),
  ]
  return random.pick(makers)()
}
