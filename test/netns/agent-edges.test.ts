// How the agent is started wrongly, through its own command line; and an API server that is not there.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, expect, test, vi } from 'vitest'
import { AgentMachine } from './agent-machine.ts'
import { describeKernel } from './scratch.ts'

const fairlead = join(import.meta.dirname, '../../bin/fairlead')
const dir = mkdtempSync(join(tmpdir(), 'fairlead-edges-'))
afterAll(() => rmSync(dir, { recursive: true }))

const eventually = { timeout: 60_000, interval: 100 }

/** A file in the test's directory. */
function file(name: string, content: string): string {
  writeFileSync(join(dir, name), content)
  return join(dir, name)
}

const nowhere = join(dir, 'nowhere')
const kubeconfig = (cluster: string): string =>
  `apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{name: c, context: {cluster: ${cluster}, user: u}}]\nclusters: [{name: k, cluster: {server: "no url"}}]\nusers: [{name: u, user: {}}]\n`

test.each<[string, string[], Record<string, string>, string]>([
  ['an unknown flag', ['--vxlanport', '1'], {}, "error: unknown option '--vxlanport'"],
  ['a flag without its value', ['--vni'], {}, "error: option '--vni <value>'"],
  ['a word too many', ['now'], {}, 'error: too many arguments'],
  [
    'a value of the wrong kind',
    ['--vni', 'one'],
    {},
    'fairlead: Expected --vni to be a whole number from 1 to 16777215, got `"one"`',
  ],
  [
    'a port that no one can listen on',
    ['--metrics-address', '127.0.0.1:99999'],
    {},
    'fairlead: Expected --metrics-address to be ADDRESS:PORT with a port up to 65535',
  ],
  [
    'an address that is none',
    ['--health-address', '1.2.3.4.5:80'],
    {},
    'fairlead: Expected --health-address to be ADDRESS:PORT',
  ],
  [
    'an unknown variable',
    [],
    { FAIRLEAD_OVERLY: 'direct' },
    'fairlead: Unknown variable FAIRLEAD_OVERLY; did you mean `FAIRLEAD_OVERLAY`?',
  ],
  [
    'a variable of the wrong kind',
    [],
    { FAIRLEAD_TAKE_OVER: 'yes' },
    'fairlead: Expected FAIRLEAD_TAKE_OVER to be true or false, got `"yes"`',
  ],
  [
    'a configuration that is not there',
    ['--config', nowhere],
    {},
    `fairlead: Cannot read the configuration ${nowhere}: ENOENT`,
  ],
  [
    'a configuration that is no YAML',
    ['--config', file('broken.yaml', 'a: [')],
    {},
    `fairlead: Cannot read the configuration ${dir}/broken.yaml`,
  ],
  [
    'a configuration that is a list',
    ['--config', file('list.yaml', '- a')],
    {},
    `fairlead: Expected ${dir}/list.yaml to hold keys and values`,
  ],
  [
    'an unknown key',
    ['--config', file('key.yaml', 'vxlanprot: 1')],
    {},
    `fairlead: Unknown key \`vxlanprot\` in ${dir}/key.yaml; did you mean \`vxlanPort\`?`,
  ],
  [
    'a kubeconfig that is not there',
    ['--kubeconfig', nowhere],
    {},
    `fairlead: Cannot read the kubeconfig ${nowhere}: there is no such file; correct the file or name another with kubeconfig`,
  ],
  [
    'a kubeconfig that is a directory',
    ['--kubeconfig', dir],
    {},
    `fairlead: Cannot read the kubeconfig ${dir}: EISDIR`,
  ],
  [
    'an empty kubeconfig',
    ['--kubeconfig', file('empty', '')],
    {},
    `fairlead: Cannot read the kubeconfig ${dir}/empty: `,
  ],
  [
    'a kubeconfig that is text',
    ['--kubeconfig', file('text', 'hello')],
    {},
    `fairlead: Expected ${dir}/text to name a cluster in its current-context, got`,
  ],
  [
    'a kubeconfig that is not YAML',
    ['--kubeconfig', file('garbage', '\u0000{[')],
    {},
    `fairlead: Cannot read the kubeconfig ${dir}/garbage: `,
  ],
  [
    'a kubeconfig whose context names no cluster',
    ['--kubeconfig', file('context', kubeconfig('other'))],
    {},
    `fairlead: Expected ${dir}/context to name a cluster in its current-context, got \`c\``,
  ],
  [
    'a kubeconfig whose server is no URL',
    ['--kubeconfig', file('server', kubeconfig('k'))],
    {},
    "fairlead: Expected the API server's address to be a URL, got `no url`",
  ],
])('%s is wrong usage, in one sentence', async (_, flags, env, sentence) => {
  // A state directory that cannot be made: whatever was wrongly accepted could not do any harm.
  const { exitCode, stdout, stderr } = await execa(fairlead, ['agent', '--state-dir', '/dev/null/fairlead', ...flags], {
    env,
    reject: false,
  })
  expect([exitCode, stdout]).toEqual([2, ''])
  expect(stderr.slice(0, sentence.length)).toBe(sentence)
  // commander adds what may have been meant, and where to read on.
  expect(stderr.replaceAll(/\n\(.*\)/g, '')).not.toContain('\n')
})

describeKernel('an API server that does not answer', () => {
  test('is told once; the agent stays, says what it waits for, and goes on when it comes', async () => {
    await using machine = await AgentMachine.start()
    // Nothing listens on this port yet; what will is a way to the real one.
    machine.startAgent({ flags: ['--api-server', 'https://127.0.0.1:6444', '--log-level', 'debug'] })
    const attempts = (): string[] =>
      machine.log.map(({ msg }) => msg).filter((line) => line.includes('Reading /api/v1/nodes failed'))
    const failures = (): string[] => machine.warnings.filter((line) => line.includes('Reading /api/v1/nodes failed'))
    await vi.waitFor(() => expect(failures()).toHaveLength(1), eventually)
    expect(failures()[0]).toContain('ECONNREFUSED')
    const ask = async (path: string): Promise<string> =>
      (await machine.run('socat', ['-t5', '-', 'TCP:127.0.0.1:10256'], { input: `GET ${path} HTTP/1.0\r\n\r\n` }))
        .stdout
    expect(await ask('/livez')).toMatch(/^HTTP\/1\.1 200 /)
    expect(await ask('/readyz')).toMatch(
      /^HTTP\/1\.1 503 [^]*not ready: the Nodes have not been read from https:\/\/127\.0\.0\.1:6444 yet\n$/,
    )
    expect(await machine.cni('STATUS')).toMatchObject({ exitCode: 1, code: 50 })
    await machine.addPodNamespace('early')
    expect(await machine.cni('ADD', { containerId: 'early', netns: 'early' })).toMatchObject({ exitCode: 1, code: 11 })

    // More attempts, all in vain.
    await vi.waitFor(() => expect(attempts().length).toBeGreaterThan(2), eventually)
    expect(failures()).toHaveLength(1)
    expect(await machine.metrics()).toContain('fairlead_reflector_synced{resource="nodes"} 0\n')
    const doctor = async (): Promise<string> =>
      (await machine.run(fairlead, ['doctor', '--cni-conf-dir', join(machine.dir, 'net.d')])).stdout
    expect(await doctor()).toMatch(
      /\nFAILED {2}API server .*\n +nodes are not followed: nothing has been read of them yet \(connect ECONNREFUSED 127\.0\.0\.1:6444\)\n +-> see whether https:\/\/127\.0\.0\.1:6444 answers from this node/,
    )
    const way = machine.run('socat', ['TCP-LISTEN:6444,fork,reuseaddr', 'TCP:127.0.0.1:6443'])
    await machine.ready()
    expect(await ask('/readyz')).toMatch(/^HTTP\/1\.1 200 /)
    expect(await machine.cni('ADD', { containerId: 'early', netns: 'early' })).toMatchObject({ exitCode: 0, code: 0 })
    await vi.waitFor(
      () =>
        expect(machine.log).toContainEqual(
          expect.objectContaining({ resource: '/api/v1/nodes', msg: 'watch restored' }) as unknown,
        ),
      eventually,
    )
    expect(machine.log.filter(({ msg }) => msg === 'agent started')).toHaveLength(1)
    // It is gone again: what the agent knows grows old.
    await machine.run('pkill', ['-x', 'socat'])
    await way
    await vi.waitFor(
      async () =>
        expect(await doctor()).toMatch(
          /\nFAILED {2}API server .*\n +nodes are not followed: what is known of them is \d+ s old \(.+\)\n/,
        ),
      eventually,
    )
  })
})
