// What a runtime, or a person by hand, can get wrong: each through the real CNI binary and a real agent, with the code
// and the sentence it gets.
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { AgentMachine, cniBinary } from './agent-machine.ts'
import { describeKernel } from './scratch.ts'

const conf = { cniVersion: '1.1.0', name: 'fairlead', type: 'fairlead-cni' }
const good = {
  CNI_PATH: '/opt/cni/bin',
  CNI_IFNAME: 'eth0',
  CNI_COMMAND: 'ADD',
  CNI_CONTAINERID: 'c1',
  CNI_NETNS: '/run/netns/pod',
}
const mapping = (changes: object): object => ({
  ...conf,
  runtimeConfig: { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp', ...changes }] },
})
const identifiers = 'letters, digits, dots, dashes or underscores'

/** What is wrong, the variables, stdin, the code and the sentence. */
type Case = [
  what: string,
  variables: Record<string, string>,
  stdin: unknown,
  code: number,
  sentence: string,
  details?: string,
]

const cases: Case[] = [
  [
    'text that is no JSON',
    {},
    'cniVersion: 1.0.0',
    6,
    'the network configuration on stdin is not JSON',
    `SyntaxError: Unexpected token 'c', "cniVersion: 1.0.0" is not valid JSON`,
  ],
  [
    'no text at all',
    {},
    '',
    6,
    'the network configuration on stdin is not JSON',
    'SyntaxError: Unexpected end of JSON input',
  ],
  ['JSON with more behind it', {}, `${JSON.stringify(conf)}{}`, 6, 'the network configuration on stdin is not JSON'],
  ['JSON that is no object', {}, '[{}]', 6, 'the network configuration on stdin is not a JSON object'],
  ['a megabyte that is no JSON', {}, '['.repeat(1 << 20), 6, 'the network configuration on stdin is not JSON'],
  [
    'a megabyte of depth',
    {},
    `{"cniVersion":"1.1.0","name":${'['.repeat(1 << 19)}${']'.repeat(1 << 19)}}`,
    7,
    `Expected the network's name to be 1 to 64 ${identifiers}, got a list`,
  ],
  [
    'a name of a megabyte',
    {},
    { ...conf, name: 'n'.repeat(1 << 20) },
    7,
    `Expected the network's name to be 1 to 64 ${identifiers}, got \`${'n'.repeat(80)}\``,
  ],
  [
    'a name with half a character',
    {},
    '{"cniVersion":"1.1.0","name":"\\ud800"}',
    7,
    `Expected the network's name to be 1 to 64 ${identifiers}, got \`\ud800\``,
  ],
  [
    'everything in __proto__',
    {},
    '{"__proto__":{"cniVersion":"1.1.0","name":"fairlead"}}',
    1,
    'incompatible CNI versions',
    'the network configuration has no cniVersion, fairlead supports 0.3.1, 0.4.0, 1.0.0, 1.1.0',
  ],
  [
    'a version to come',
    {},
    { ...conf, cniVersion: '2.0.0' },
    1,
    'incompatible CNI versions',
    'the network configuration has `2.0.0`, fairlead supports 0.3.1, 0.4.0, 1.0.0, 1.1.0',
  ],
  [
    'a version that is a number',
    {},
    { ...conf, cniVersion: 1 },
    1,
    'incompatible CNI versions',
    'the network configuration has no cniVersion, fairlead supports 0.3.1, 0.4.0, 1.0.0, 1.1.0',
  ],
  [
    'an interface name of 16 characters',
    { CNI_IFNAME: 'sixteen-letters-' },
    conf,
    4,
    `CNI_IFNAME: Expected an interface name of 1 to 15 ${identifiers}, got \`sixteen-letters-\``,
  ],
  [
    'a slash in the container',
    { CNI_CONTAINERID: '../c1' },
    conf,
    4,
    `Expected CNI_CONTAINERID to be 1 to 128 ${identifiers}, got \`../c1\``,
  ],
  [
    'a newline in the container',
    { CNI_CONTAINERID: 'c1\n' },
    conf,
    4,
    `Expected CNI_CONTAINERID to be 1 to 128 ${identifiers}, got \`c1\n\``,
  ],
  ['no container', { CNI_CONTAINERID: '' }, conf, 4, 'ADD needs the environment variables CNI_CONTAINERID'],
  [
    'a pod name that no pod has',
    { CNI_ARGS: 'K8S_POD_NAMESPACE=shop;K8S_POD_NAME=Web' },
    conf,
    4,
    'CNI_ARGS: Expected K8S_POD_NAME to be a Kubernetes name, got `Web`',
  ],
  [
    'a namespace that is a directory',
    { CNI_NETNS: '/run/directory' },
    conf,
    8,
    'CNI_NETNS /run/directory is not a network namespace',
  ],
  [
    'a namespace that is a socket',
    { CNI_NETNS: '/run/fairlead/cni.sock' },
    conf,
    8,
    'CNI_NETNS /run/fairlead/cni.sock is not a network namespace',
  ],
  [
    'a namespace that is a plain file',
    { CNI_NETNS: '/run/file' },
    conf,
    8,
    'CNI_NETNS /run/file is not a network namespace',
  ],
  [
    'a namespace of another kind',
    { CNI_NETNS: '/proc/self/ns/uts' },
    conf,
    8,
    'CNI_NETNS /proc/self/ns/uts is not a network namespace',
  ],
  [
    'a namespace that was deleted',
    { CNI_NETNS: '/run/netns/deleted' },
    conf,
    8,
    'network namespace /run/netns/deleted does not exist',
  ],
  [
    "the node's own namespace",
    { CNI_NETNS: '/proc/1/ns/net' },
    conf,
    8,
    "network namespace /proc/1/ns/net is the node's own",
  ],
  [
    'a namespace with a second command',
    { CNI_NETNS: '/run/netns/pod\nlink del cni0' },
    conf,
    4,
    'CNI_NETNS: Expected an absolute path of letters, digits and ./:_-, got `/run/netns/pod\nlink del cni0`',
  ],
  [
    'a previous result that is text',
    {},
    { ...conf, prevResult: 'none' },
    7,
    'Expected prevResult to be an object, got `none`',
  ],
  [
    'a previous result without an address',
    {},
    { ...conf, prevResult: { ips: [{}] } },
    7,
    'Expected prevResult.ips.0.address to be text, got nothing',
  ],
  [
    'a previous result of half an address',
    {},
    { ...conf, prevResult: { ips: [{ address: '10.0.0.1' }] } },
    7,
    'prevResult.ips.address: Expected ADDRESS/PREFIX, got `10.0.0.1`',
  ],
  [
    'a previous result with interfaces of null',
    {},
    { ...conf, prevResult: { interfaces: [null] } },
    7,
    'Expected prevResult.interfaces.0 to be an object, got `null`',
  ],
  [
    'runtimeConfig that is a list',
    {},
    { ...conf, runtimeConfig: [] },
    7,
    'Expected runtimeConfig to be an object, got a list',
  ],
  [
    'portMappings that are text',
    {},
    { ...conf, runtimeConfig: { portMappings: '80:80' } },
    7,
    'Expected runtimeConfig.portMappings to be a list, got `80:80`',
  ],
  [
    'a port mapping that is a number',
    {},
    { ...conf, runtimeConfig: { portMappings: [80] } },
    7,
    'Expected runtimeConfig.portMappings.0 to be an object, got `80`',
  ],
  [
    'hostPort 65536',
    {},
    mapping({ hostPort: 65_536 }),
    7,
    'Expected runtimeConfig.portMappings.0.hostPort to be a whole number from 0 to 65535, got `65536`',
  ],
  [
    'hostPort -1',
    {},
    mapping({ hostPort: -1 }),
    7,
    'Expected runtimeConfig.portMappings.0.hostPort to be a whole number from 0 to 65535, got `-1`',
  ],
  [
    'hostPort 80.5',
    {},
    mapping({ hostPort: 80.5 }),
    7,
    'Expected runtimeConfig.portMappings.0.hostPort to be a whole number from 0 to 65535, got `80.5`',
  ],
  [
    'containerPort 0',
    {},
    mapping({ containerPort: 0 }),
    7,
    'runtimeConfig.portMappings: hostPort 8080 has no containerPort',
  ],
  [
    'containerPort in capitals, 65536',
    {},
    mapping({ containerPort: undefined, ContainerPort: 65_536 }),
    7,
    'Expected runtimeConfig.portMappings.0.ContainerPort to be a whole number from 0 to 65535, got `65536`',
  ],
  [
    'a protocol with a space',
    {},
    mapping({ protocol: 'tcp ' }),
    2,
    'runtimeConfig.portMappings: Expected protocol to be tcp, udp or sctp, got `tcp `',
  ],
  [
    'a host address that is a name',
    {},
    mapping({ hostIP: 'localhost' }),
    7,
    'runtimeConfig.portMappings.hostIP: Expected an IP address, got `localhost`',
  ],
  [
    'a negative rate',
    {},
    { ...conf, runtimeConfig: { bandwidth: { ingressRate: -1, ingressBurst: 1 } } },
    7,
    `Expected runtimeConfig.bandwidth.ingressRate to be a whole number from 0 to ${Number.MAX_SAFE_INTEGER}, got \`-1\``,
  ],
  [
    'a burst above 4 GiB',
    {},
    { ...conf, runtimeConfig: { bandwidth: { egressRate: 1, egressBurst: 2 ** 35 } } },
    7,
    'Expected runtimeConfig.bandwidth.egressBurst to be a whole number from 0 to 34359738367, got `34359738368`',
  ],
  [
    'a rate without burst',
    {},
    { ...conf, runtimeConfig: { bandwidth: { egressRate: 1000 } } },
    7,
    'runtimeConfig.bandwidth: egressRate 1000 needs an egressBurst',
  ],
  [
    'an unknown command',
    { CNI_COMMAND: 'UPDATE' },
    conf,
    4,
    'CNI_COMMAND is UPDATE: expected ADD, DEL, CHECK, GC, STATUS or VERSION',
  ],
  [
    'CHECK without the result of the ADD',
    { CNI_COMMAND: 'CHECK' },
    conf,
    7,
    'CHECK needs the result of the ADD, but the network configuration has no prevResult',
  ],
  [
    'GC with a list that is an object',
    { CNI_COMMAND: 'GC' },
    { ...conf, 'cni.dev/valid-attachments': {} },
    7,
    'Expected cni.dev/valid-attachments to be a list, got an object',
  ],
  ['GC without a list', { CNI_COMMAND: 'GC' }, conf, 7, 'Expected cni.dev/valid-attachments to be a list, got nothing'],
  [
    'DEL of a container with a slash',
    { CNI_COMMAND: 'DEL', CNI_CONTAINERID: 'a/b' },
    conf,
    4,
    `Expected CNI_CONTAINERID to be 1 to 128 ${identifiers}, got \`a/b\``,
  ],
]

describeKernel('a runtime that asks wrongly', () => {
  let machine: AgentMachine
  beforeAll(async () => {
    machine = await AgentMachine.start()
    machine.startAgent()
    await machine.ready()
    await machine.succeed('sh', [
      '-c',
      'ip netns add pod; ip netns add deleted; ip netns del deleted; mkdir /run/directory; touch /run/file',
    ])
  })
  afterAll(() => machine[Symbol.asyncDispose]())
  const call = (variables: Record<string, string>, input: string) =>
    machine.run(cniBinary, [], { env: { ...good, ...variables }, input })

  test.each<Case>(cases)('%s', async (_, variables, stdin, code, sentence, details) => {
    const outcome = await call(variables, typeof stdin === 'string' ? stdin : JSON.stringify(stdin))
    expect(outcome).toMatchObject({ exitCode: 1, stderr: '' })
    const document = JSON.parse(outcome.stdout) as { details?: string }
    expect(document).toEqual({
      cniVersion: expect.stringMatching(/^\d\.\d\.\d$/) as string,
      code,
      msg: sentence,
      details: details ?? document.details,
    })
  })

  test.each<[string, object]>([
    ['hostPort 0, which means none', mapping({ hostPort: 0 })],
    ['a host address of a family that the pod has not', mapping({ hostIP: 'fd00::1' })],
    ['a netconf of a megabyte in keys that are not ours', { ...conf, ipam: { padding: 'x'.repeat(1 << 20) } }],
  ])('%s is no mistake, and publishes nothing', async (_, stdin) => {
    expect(await call({}, JSON.stringify(stdin))).toMatchObject({ exitCode: 0, stderr: '' })
    expect(await machine.succeed('sh', ['-c', 'iptables -t nat -S FAIRLEAD-HOSTPORT-DNAT'])).toBe(
      '-N FAIRLEAD-HOSTPORT-DNAT\n',
    )
    expect(await call({ CNI_COMMAND: 'DEL' }, JSON.stringify(conf))).toEqual({ exitCode: 0, stdout: '', stderr: '' })
  })

  test('nothing of all that is left, and the agent never stopped', async () => {
    expect(await machine.succeed('ls', ['/run/fairlead/attachments'])).toBe('')
    await vi.waitFor(
      async () => expect(await machine.succeed('ip', ['-n', 'pod', '-o', 'link'])).not.toContain('eth0'),
      60_000,
    )
    expect(machine.log.filter(({ msg }) => msg === 'agent started')).toHaveLength(1)
  })
})
