import fc from 'fast-check'
import { expect, test } from 'vitest'
import { CniError, cniCodes } from './cni-error.ts'
import { type CniRequest, maxRequestBytes, parseCniRequest } from './cni-request.ts'
import { goldenBody, goldenMeaning } from './golden-request.ts'
import { renderError } from './render-error.ts'

const netns = '/var/run/netns/cni-5d4f7c1e-0b0a-4c7e-8a55-0c9b7f2f4b11'
const environment = { CNI_CONTAINERID: 'c1', CNI_NETNS: netns, CNI_IFNAME: 'eth0', CNI_PATH: '/opt/cni/bin' }
const conf = { cniVersion: '1.1.0', name: 'fairlead', type: 'fairlead-cni' }
const result = {
  cniVersion: '1.1.0',
  interfaces: [{ name: 'eth0', sandbox: netns }],
  ips: [{ address: '10.244.1.5/24', interface: 0 }],
}

function request(command: string, variables: Record<string, string> = {}, stdin: unknown = conf): Buffer {
  const lines = Object.entries({ ...environment, CNI_COMMAND: command, ...variables }).map(
    ([name, value]) => `${name}=${value}\0`,
  )
  return Buffer.from(`${lines.join('')}\0${typeof stdin === 'string' ? stdin : JSON.stringify(stdin)}`)
}

function failure(body: Buffer): { code: number; message: string } {
  try {
    parseCniRequest(body)
  } catch (error) {
    if (error instanceof CniError) return { code: error.code, message: `${error.message}; ${error.details}` }
    throw error
  }
  throw new Error('expected the request to be refused')
}

test('the bytes that the CNI binary sends mean the same here', () => {
  expect(parseCniRequest(Buffer.from(goldenBody(netns, '4:4026532281')))).toEqual(goldenMeaning(netns, '4:4026532281'))
})

test('of a variable given twice the last counts, as the runtime means it', () => {
  const body = Buffer.concat([Buffer.from('CNI_CONTAINERID=inherited\0CNI_COMMAND=GC\0'), request('ADD')])
  expect(parseCniRequest(body)).toMatchObject({ command: 'ADD', containerId: 'c1' })
})

test.each([
  ['ADD', ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME', 'CNI_PATH']],
  ['CHECK', ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME', 'CNI_PATH']],
  ['DEL', ['CNI_CONTAINERID', 'CNI_IFNAME', 'CNI_PATH']],
  ['GC', ['CNI_PATH']],
  ['STATUS', ['CNI_PATH']],
])('%s names the variables it misses', (command, names) => {
  const { code, message } = failure(
    request(command, { CNI_CONTAINERID: '', CNI_NETNS: '', CNI_IFNAME: '', CNI_PATH: '' }),
  )
  expect(code).toBe(cniCodes.invalidEnvironment)
  expect(message).toContain(`${command} needs the environment variables ${names.join(', ')};`)
})

test.each<[string, Record<string, string>]>([
  ['a path as container', { CNI_CONTAINERID: '../../etc/passwd' }],
  ['a container that makes no file name', { CNI_CONTAINERID: 'c'.repeat(129) }],
  ['a slash in the interface', { CNI_IFNAME: 'a/b' }],
  ['a long interface', { CNI_IFNAME: 'sixteen-letters-' }],
  ['a second command in the namespace', { CNI_NETNS: '/run/netns/a\nlink del eth0' }],
  ['a relative namespace', { CNI_NETNS: 'run/netns/a' }],
  ['an unknown command', { CNI_COMMAND: 'UPDATE' }],
  ['VERSION, which the binary answers', { CNI_COMMAND: 'VERSION' }],
  ['a pod name that no pod has', { CNI_ARGS: 'K8S_POD_NAMESPACE=shop;K8S_POD_NAME=Web 1' }],
])('%s is code 4', (_, variables) => {
  expect(failure(request('ADD', variables)).code).toBe(cniCodes.invalidEnvironment)
})

test.each<[string, unknown, number, string]>([
  ['no JSON', 'not json', cniCodes.decode, 'is not JSON'],
  ['nothing at all', '', cniCodes.decode, 'is not JSON'],
  ['a list', [conf], cniCodes.decode, 'not a JSON object'],
  [
    'no version',
    { name: 'fairlead' },
    cniCodes.incompatibleVersion,
    'has no cniVersion, fairlead supports 0.3.1, 0.4.0, 1.0.0, 1.1.0',
  ],
  ['a version to come', { ...conf, cniVersion: '2.0.0' }, cniCodes.incompatibleVersion, 'has `2.0.0`'],
  ['no name', { cniVersion: '1.0.0' }, cniCodes.invalidConfig, 'name'],
  ['a name that is a path', { ...conf, name: '../x' }, cniCodes.invalidConfig, '`../x`'],
  [
    'a port out of range',
    { ...conf, runtimeConfig: { portMappings: [{ hostPort: 70_000, containerPort: 80 }] } },
    cniCodes.invalidConfig,
    'Expected runtimeConfig.portMappings.0.hostPort to be a whole number from 0 to 65535, got `70000`',
  ],
  [
    'a host port that leads nowhere',
    { ...conf, runtimeConfig: { portMappings: [{ hostPort: 80 }] } },
    cniCodes.invalidConfig,
    'hostPort 80 has no containerPort',
  ],
  [
    'a protocol we do not forward',
    { ...conf, runtimeConfig: { portMappings: [{ hostPort: 80, containerPort: 80, protocol: 'dccp' }] } },
    cniCodes.unsupportedField,
    '`dccp`',
  ],
  [
    'a host address that is none',
    { ...conf, runtimeConfig: { portMappings: [{ hostPort: 80, containerPort: 80, hostIP: 'eth0' }] } },
    cniCodes.invalidConfig,
    '`eth0`',
  ],
  [
    'a rate without burst',
    { ...conf, runtimeConfig: { bandwidth: { egressRate: 1000 } } },
    cniCodes.invalidConfig,
    'needs an egressBurst',
  ],
  [
    'a previous result with half an address',
    { ...conf, prevResult: { ...result, ips: [{ address: '10.244.1.5' }] } },
    cniCodes.invalidConfig,
    'prevResult.ips.address',
  ],
])('a configuration with %s is refused and told why', (_, stdin, code, words) => {
  const refused = failure(request('ADD', {}, stdin))
  expect(refused.code).toBe(code)
  expect(refused.message).toContain(words)
})

test.each(['CHECK', 'GC', 'STATUS'])('%s is refused in a version that came before it', (command) => {
  const version = command === 'CHECK' ? '0.3.1' : '1.0.0'
  expect(failure(request(command, {}, { ...conf, cniVersion: version })).code).toBe(cniCodes.incompatibleVersion)
})

test('CHECK needs the result of the ADD', () => {
  expect(failure(request('CHECK')).code).toBe(cniCodes.invalidConfig)
  expect(parseCniRequest(request('CHECK', {}, { ...conf, prevResult: result }))).toMatchObject({
    command: 'CHECK',
    prevResult: { ips: [{ address: '10.244.1.5', prefix: 24 }] },
  })
})

test.each(['', 'gone', '/run/netns/a b'])(
  'a DEL succeeds with the namespace %j and with fields that no ADD would take',
  (path) => {
    const stdin = { ...conf, runtimeConfig: { portMappings: 'none' }, prevResult: 7 }
    expect(
      parseCniRequest(request('DEL', { CNI_NETNS: path, CNI_ARGS: 'K8S_POD_NAMESPACE=-;K8S_POD_NAME=-' }, stdin)),
    ).toEqual({
      command: 'DEL',
      version: '1.1.0',
      network: 'fairlead',
      containerId: 'c1',
      podInterface: 'eth0',
      netns: undefined,
      netnsId: undefined,
    })
  },
)

test('a GC without a list it can read keeps everything', () => {
  expect(failure(request('GC')).code).toBe(cniCodes.invalidConfig)
  expect(failure(request('GC', {}, { ...conf, 'cni.dev/valid-attachments': [{ containerID: 'c1' }] })).code).toBe(
    cniCodes.invalidConfig,
  )
  const asked = parseCniRequest(
    request('GC', {}, { ...conf, 'cni.dev/valid-attachments': [{ containerID: 'c1', ifname: 'eth0' }] }),
  )
  expect(asked).toEqual({
    command: 'GC',
    version: '1.1.0',
    network: 'fairlead',
    validAttachments: [{ containerId: 'c1', podInterface: 'eth0' }],
  })
})

test('keys are matched whatever their case, zero values say nothing, and unknown keys may hold anything', () => {
  const runtimeConfig = {
    PortMappings: [
      { HOSTPORT: 80, containerport: 8080, Protocol: 'SCTP', hostIp: '0.0.0.0' },
      { hostPort: 0, containerPort: 9 },
    ],
    bandwidth: { IngressRate: 0, IngressBurst: 5, egressRate: 1000, EgressBurst: 34_359_738_359 },
    dns: null,
  }
  const stdin = { ...conf, runtimeConfig, disableCheck: 'true', capabilities: { portMappings: 'true' }, ipam: [] }
  expect(parseCniRequest(request('ADD', {}, stdin))).toMatchObject({
    portMappings: [{ hostPort: 80, containerPort: 8080, protocol: 'sctp', hostAddress: undefined }],
    bandwidth: { ingress: undefined, egress: { rateBits: 1000, burstBits: 34_359_738_359 } },
    pod: undefined,
  })
  expect(
    parseCniRequest(
      request('ADD', {}, { ...conf, runtimeConfig: { portMappings: null, bandwidth: { IngressRate: 0 } } }),
    ),
  ).toMatchObject({ portMappings: [], bandwidth: undefined })
  const limits = { ingressRate: 2 ** 64, ingressBurst: 1, egressRate: 2 ** 53 + 2, egressBurst: 2 ** 35 - 1 }
  expect(parseCniRequest(request('ADD', {}, { ...conf, runtimeConfig: { bandwidth: limits } }))).toMatchObject({
    bandwidth: {
      ingress: { rateBits: Number.MAX_SAFE_INTEGER, burstBits: 1 },
      egress: { rateBits: Number.MAX_SAFE_INTEGER, burstBits: 2 ** 35 - 1 },
    },
  })
  const nulls = { portMappings: [null, { hostPort: 80, containerPort: 80, protocol: null, hostIP: null }] }
  expect(parseCniRequest(request('ADD', {}, { ...conf, prevResult: null, runtimeConfig: nulls }))).toMatchObject({
    portMappings: [{ hostPort: 80, containerPort: 80, protocol: 'tcp', hostAddress: undefined }],
  })
})

test('what the binary saw of the namespace is taken as it is, or not at all', () => {
  expect(parseCniRequest(request('ADD', { FAIRLEAD_NETNS_ID: '4:4026532281' }))).toMatchObject({
    netnsId: '4:4026532281',
  })
  expect(parseCniRequest(request('ADD', { FAIRLEAD_NETNS_ID: 'x' }))).toMatchObject({ netnsId: undefined })
})

test('the size of a request is bounded', () => {
  expect(failure(Buffer.alloc(maxRequestBytes + 1, 0x41)).code).toBe(cniCodes.decode)
  expect(failure(Buffer.from('CNI_COMMAND=ADD\0CNI_IFN')).code).toBe(cniCodes.decode)
})

/** The request, or the error as the runtime would read it. */
function outcome(body: Buffer): CniRequest | { code: number } {
  try {
    return parseCniRequest(body)
  } catch (error) {
    if (!(error instanceof CniError)) throw error
    return JSON.parse(renderError(error)) as { code: number }
  }
}

test('whatever comes in, a request or one error document comes out', () => {
  const golden = Buffer.from(goldenBody(netns, '4:1'))
  const damaged = fc
    .tuple(fc.nat(golden.length - 1), fc.nat(40), fc.uint8Array({ maxLength: 40 }))
    .map(([at, cut, put]) => Buffer.concat([golden.subarray(0, at), put, golden.subarray(at + cut)]))
  const command = fc.constantFrom('ADD', 'DEL', 'CHECK', 'GC', 'STATUS')
  const key = fc.constantFrom(
    'portMappings',
    'bandwidth',
    'HostPort',
    'ingressRate',
    'ips',
    'routes',
    'interfaces',
    '__proto__',
  )
  const json = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 5 },
      fc.jsonValue({ maxDepth: 1 }),
      fc.dictionary(key, tie('value')),
      fc.array(tie('value'), { maxLength: 3 }),
    ),
  })).value
  const plausible = fc
    .record({
      command,
      args: fc.string(),
      runtimeConfig: json,
      prevResult: json,
      attachments: json,
      version: fc.constantFrom('0.3.1', '1.0.0', '1.1.0'),
    })
    .map(({ command, args, version, runtimeConfig, prevResult, attachments }) =>
      request(
        command,
        { CNI_ARGS: args.replaceAll('\0', '') },
        { ...conf, cniVersion: version, runtimeConfig, prevResult, 'cni.dev/valid-attachments': attachments },
      ),
    )
  fc.assert(
    fc.property(
      fc.oneof(
        fc.uint8Array().map((bytes) => Buffer.from(bytes)),
        damaged,
        plausible,
      ),
      (body) => {
        const out = outcome(body)
        return 'code' in out ? Number.isInteger(out.code) : /^[a-zA-Z0-9]/.test(out.network)
      },
    ),
    { numRuns: 300 },
  )
})
