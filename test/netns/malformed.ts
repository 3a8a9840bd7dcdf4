// Requests that no agent may carry out, made from a good one by chance: each is wrong in one way by construction, so
// that success is always a mistake.
import type { Random } from './random.ts'

/** The parts of a request as the CNI binary sends it, still good. */
interface Parts {
  readonly variables: Map<string, string>
  conf: Record<string, unknown>
}

type Mutation = (random: Random, parts: Parts) => Buffer

/** A body for POST /cni: structured damage in nine of ten, bytes without any sense in one. */
export function malformedBody(random: Random): Buffer {
  if (random.below(10) === 0) return withoutSense(random)
  return random.pick(mutations)(random, goodParts(random))
}

/** The same for the binary, which is given variables and stdin apart. None holds a zero byte, as no environment can. */
export function malformedCall(random: Random): { variables: Record<string, string>; stdin: Buffer } {
  for (;;) {
    const body = malformedBody(random)
    const end = body.indexOf('\0\0')
    // Zero bytes in front would be lost here, and the rest may be good.
    if (body[0] === 0) continue
    const lines = body.toString('utf8', 0, Math.max(0, end)).split('\0')
    const variables = Object.fromEntries(
      lines
        .filter((line) => /^CNI_\w+=/.test(line))
        .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
    )
    // Without a command the binary says what it is, which is no request.
    if (end !== -1 && variables['CNI_COMMAND']) return { variables, stdin: body.subarray(end + 2) }
  }
}

function goodParts(random: Random): Parts {
  const command = random.pick(['ADD', 'ADD', 'ADD', 'CHECK', 'DEL', 'GC'])
  const variables = new Map([
    ['CNI_COMMAND', command],
    ['CNI_CONTAINERID', `fuzz${random.below(1000)}`],
    ['CNI_NETNS', '/run/netns/ft-fuzz-none'],
    ['CNI_IFNAME', 'eth0'],
    ['CNI_ARGS', 'IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0'],
    ['CNI_PATH', '/opt/cni/bin'],
  ])
  const conf = {
    cniVersion: '1.1.0',
    name: 'fairlead',
    type: 'fairlead-cni',
    runtimeConfig: {
      portMappings: [{ HostPort: 8080, ContainerPort: 80, Protocol: 'tcp' }],
      bandwidth: { IngressRate: 1e6, IngressBurst: 1e6 },
    },
    prevResult: {
      cniVersion: '1.1.0',
      interfaces: [{ name: 'eth0' }],
      ips: [{ address: '10.98.0.9/24', interface: 0 }],
    },
    'cni.dev/valid-attachments': [{ containerID: 'c1', ifname: 'eth0' }],
  }
  return { variables, conf }
}

const whole = ({ variables, conf }: Parts): Buffer =>
  Buffer.from(`${Array.from(variables, ([name, value]) => `${name}=${value}\0`).join('')}\0${JSON.stringify(conf)}`)

const withStdin = ({ variables }: Parts, stdin: string | Buffer): Buffer =>
  Buffer.concat([
    Buffer.from(`${Array.from(variables, ([name, value]) => `${name}=${value}\0`).join('')}\0`),
    Buffer.from(stdin),
  ])

/** Names that no identifier, interface, namespace or pod may have. */
const badText = (random: Random): string =>
  random.pick([
    '../x',
    'a/b',
    'a b',
    'a\nb',
    '\u0001',
    '\u007f',
    '\ud800',
    'é',
    ';',
    '$(x)',
    '`x`',
    '"',
    '\\',
    '-',
    'x'.repeat(300),
    '\u202e',
    ' '.repeat(random.within(1, 100)),
    '\r\n\r\n',
  ])

/** Values that are neither text that could be a version or name, nor a number that could be a port. */
const badValue = (random: Random): unknown =>
  random.pick<unknown>([
    true,
    -1,
    1.5,
    1e308,
    [],
    {},
    [[[]]],
    ['x'],
    { __proto__: 1 },
    badText(random),
    { toString: 1, length: 5 },
  ])

/** Arrays or objects within one another, as text: JSON.stringify would not survive it. */
function deep(random: Random): string {
  const depth = random.pick([100, 1000, 20_000])
  return random.below(2) === 0
    ? `${'['.repeat(depth)}${']'.repeat(depth)}`
    : `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`
}

const replaceInText = (parts: Parts, key: string, json: string): Buffer =>
  withStdin(
    parts,
    JSON.stringify({ ...parts.conf, [key]: '@' }).replace('"@"', () => json),
  )

const set = (parts: Parts, name: string, value: string): Buffer => {
  parts.variables.set(name, value)
  return whole(parts)
}

const asAdd = (parts: Parts): Parts => {
  parts.variables.set('CNI_COMMAND', 'ADD')
  return parts
}

const mutations: readonly Mutation[] = [
  // The frame.
  (random, parts) => whole(parts).subarray(0, random.below(whole(parts).length)),
  (random, parts) => duplicateZero(whole(parts), random),
  (random, parts) => Buffer.concat([whole(parts), Buffer.from(random.pick(['}', '{}', ',', '\0', 'null', '\u2028']))]),
  (random, parts) => Buffer.concat([Buffer.from(random.pick(['\0', '\0\0', '\0'.repeat(1000)])), whole(parts)]),
  // The variables.
  (random, parts) => (parts.variables.delete(random.pick(['CNI_COMMAND', 'CNI_PATH'])), whole(parts)),
  (random, parts) =>
    set(parts, 'CNI_COMMAND', random.pick(['add', 'ADD ', 'VERSIONS', 'DELETE', '0', badText(random)])),
  (random, parts) =>
    set(asAdd(parts), 'CNI_CONTAINERID', random.pick(['', badText(random), 'c'.repeat(129), 'c'.repeat(100_000)])),
  (random, parts) => set(asAdd(parts), 'CNI_IFNAME', random.pick(['', '.', '..', 'sixteen-letters-', badText(random)])),
  (random, parts) =>
    set(
      asAdd(parts),
      'CNI_NETNS',
      random.pick([
        '',
        '/',
        'relative',
        '/etc',
        '/etc/passwd',
        '/dev/zero',
        '/proc/self/mem',
        '/run/netns/none',
        `/${badText(random)}`,
      ]),
    ),
  (random, parts) =>
    set(asAdd(parts), 'CNI_ARGS', `K8S_POD_NAMESPACE=${badText(random)};K8S_POD_NAME=${badText(random)}`),
  // The configuration.
  (random, { variables, conf }) =>
    whole({
      variables,
      conf: { ...conf, cniVersion: random.pick<unknown>([undefined, null, '0.1.0', '9.9.9', badValue(random)]) },
    }),
  (random, { variables, conf }) =>
    whole({
      variables,
      conf: { ...conf, name: random.pick<unknown>([undefined, null, '', 'n'.repeat(65), badValue(random)]) },
    }),
  (random, parts) => replaceInText(parts, random.pick(['name', 'cniVersion']), deep(random)),
  (_, parts) =>
    withStdin(
      parts,
      `{"__proto__":${JSON.stringify(parts.conf)},"constructor":{"prototype":${JSON.stringify(parts.conf)}}}`,
    ),
  (random, parts) =>
    withStdin(
      parts,
      random.pick(['', 'null', '0', '"x"', '[]', 'true', 'NaN', '{', '\ufeff{}', '{"cniVersion":"1.1.0"}']),
    ),
  (random, parts) => withStdin(parts, random.bytes(random.within(1, 4000))),
  (random, parts) =>
    withStdin(
      parts,
      Buffer.concat([
        Buffer.from('{"cniVersion":"1.1.0","name":"'),
        Buffer.from([random.within(128, 255)]),
        Buffer.from('"}'),
      ]),
    ),
  (random, parts) =>
    replaceInText(
      asAdd(parts),
      'runtimeConfig',
      random.pick(['[]', '"x"', '1', '{"portMappings":1}', `{"portMappings":${deep(random)}}`, '{"bandwidth":[]}']),
    ),
  (random, parts) =>
    replaceInText(
      asAdd(parts),
      'runtimeConfig',
      `{"portMappings":[${JSON.stringify({ hostPort: random.pick<unknown>([-1, 65_536, 1.5, '80', [], {}, true]), containerPort: 80 })}]}`,
    ),
  (random, parts) =>
    replaceInText(
      asAdd(parts),
      'runtimeConfig',
      `{"portMappings":[${JSON.stringify({ hostPort: 80, containerPort: 80, protocol: random.pick<unknown>(['tcp ', 'icmp', 6, {}]) })}]}`,
    ),
  (random, parts) =>
    replaceInText(
      asAdd(parts),
      'runtimeConfig',
      `{"bandwidth":{"${random.pick(['ingress', 'egress'])}Rate":${random.pick(['-1', '1e400', '0.5', '"1"', '[]', '9007199254740993'])}}}`,
    ),
  (random, parts) =>
    replaceInText(
      asAdd(parts),
      'prevResult',
      random.pick([
        '"x"',
        '1',
        '[]',
        '{"ips":{}}',
        '{"ips":[{}]}',
        '{"ips":[{"address":"10.0.0.1"}]}',
        '{"interfaces":[null]}',
        '{"routes":[{"dst":"nowhere"}]}',
        '{"ips":[{"address":"999.0.0.1/24"}]}',
      ]),
    ),
  (random, parts) => (
    parts.variables.set('CNI_COMMAND', 'GC'),
    replaceInText(
      parts,
      'cni.dev/valid-attachments',
      random.pick([
        '{}',
        '"x"',
        '[1]',
        '[{"containerID":"c1"}]',
        '[{"containerID":1,"ifname":"eth0"}]',
        '[{"containerID":"c","ifname":"a/b"}]',
      ]),
    )
  ),
  (_, parts) => (parts.variables.set('CNI_COMMAND', 'CHECK'), replaceInText(parts, 'prevResult', 'null')),
  // A container that is not there, which is the one thing wrong with an otherwise good request.
  (_, parts) => (parts.variables.set('CNI_COMMAND', 'CHECK'), whole(parts)),
  (_, parts) => whole(asAdd(parts)),
]

/** One more zero byte behind an existing one, chosen so that the variables end too early or stdin begins with it. */
function duplicateZero(body: Buffer, random: Random): Buffer {
  const place = body.indexOf(0, random.below(body.lastIndexOf(0)))
  return Buffer.concat([body.subarray(0, place), Buffer.from([0]), body.subarray(place)])
}

function withoutSense(random: Random): Buffer {
  const bytes = random.bytes(random.pick([0, 1, 2, 16, 300, 5000]))
  return random.below(2) === 0 ? bytes : Buffer.concat([Buffer.from('CNI_COMMAND=ADD\0'), bytes])
}
