// An agent whose tools crash under it: each is reported once, in a sentence that /readyz and `fairlead status` show as
// long as something does not work, and the agent is ready again when the tool works again.
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { AgentMachine } from './agent-machine.ts'
import { BrokenPrograms } from './broken-programs.ts'
import { describeKernel } from './scratch.ts'
import { addServices } from './service-machine.ts'

const fairlead = join(import.meta.dirname, '../../bin/fairlead')
const policies = '/apis/networking.k8s.io/v1/namespaces/default/networkpolicies'
const eventually = { timeout: 60_000, interval: 200 }

describeKernel('an agent whose tools crash', () => {
  let machine: AgentMachine
  let programs: BrokenPrograms
  beforeAll(async () => {
    machine = await AgentMachine.start()
    programs = new BrokenPrograms(machine)
    machine.startAgent({ flags: ['--resync-seconds', '1', '--policy-start-seconds', '1'] })
    await machine.ready()
  })
  afterEach(async () => await programs.mend())
  afterAll(async () => await machine[Symbol.asyncDispose]())

  const readyz = async (): Promise<string> =>
    (await machine.run('socat', ['-', 'TCP:127.0.0.1:10256'], { input: 'GET /readyz HTTP/1.0\r\n\r\n' })).stdout
  const said = (sentence: string): number => machine.warnings.filter((message) => message.includes(sentence)).length
  const metric = async (name: string): Promise<number> =>
    Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(await machine.metrics())?.[1])
  const addPod = async (name: string): Promise<{ code: number; document: object }> => {
    await machine.addPodNamespace(name)
    return await machine.cni('ADD', { containerId: name, netns: name })
  }

  const ofNode = async (): Promise<string[]> => {
    const { items } = (await machine.api('GET', '/apis/events.k8s.io/v1/events')) as {
      items: { note: string; reason: string; regarding: { kind: string } }[]
    }
    return items
      .filter(({ reason, regarding }) => reason === 'NetworkNotInForce' && regarding.kind === 'Node')
      .map(({ note }) => note)
  }

  /** The agent says so wherever it is asked, and has logged it once. */
  async function expectUnready(sentence: string): Promise<void> {
    await vi.waitFor(async () => expect(await readyz()).toContain(sentence), eventually)
    expect(await readyz()).toMatch(/^HTTP\/1\.1 503 [^]*not ready: /)
    const { exitCode, stdout } = await machine.run(fairlead, ['status'])
    expect([exitCode, stdout]).toEqual([1, expect.stringMatching(/^node n1: not ready\n/)])
    expect(stdout).toContain(sentence)
    expect(await metric('fairlead_ready')).toBe(0)
    expect(said(sentence)).toBe(1)
    await vi.waitFor(async () => expect((await ofNode()).join('\n')).toContain(sentence), eventually)
  }

  async function expectReady(): Promise<void> {
    await vi.waitFor(async () => expect(await readyz()).toMatch(/^HTTP\/1\.1 200 /), eventually)
    const { exitCode, stdout } = await machine.run(fairlead, ['status'])
    expect([exitCode, stdout]).toEqual([0, expect.stringMatching(/^node n1: ready\nnetwork: /)])
    expect(await metric('fairlead_ready')).toBe(1)
  }

  test('nft: policies cannot be written, and STATUS stays', async () => {
    await programs.crash('nft')
    await machine.api('POST', policies, {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { name: 'closed', namespace: 'default' },
      spec: { podSelector: { matchLabels: { app: 'db' } } },
    })
    const sentence = 'policy rules could not be written, trying again: nft -f -: died of SIGSEGV; run fairlead doctor'
    // A pod of that namespace might be one that the policy selects.
    expect(await addPod('db')).toMatchObject({
      code: 11,
      document: { details: expect.stringContaining('died of SIGSEGV') as string },
    })
    await expectUnready(sentence)
    const failures = 'fairlead_reconcile_failures_total\\{room="policy",kind="table"\\}'
    const before = await metric(failures)
    await vi.waitFor(async () => expect(await metric(failures)).toBeGreaterThan(before + 2), eventually)
    expect(said(sentence)).toBe(1)
    expect((await machine.cni('STATUS')).code).toBe(0)

    await programs.mend()
    await expectReady()
    expect(await machine.cni('ADD', { containerId: 'db', netns: 'db' })).toMatchObject({ code: 0 })
  })

  const siblings = [
    {
      what: 'rules of Services cannot be written',
      tool: 'iptables-nft-restore',
      cause: async () => await addServices(machine, 1, 1),
      sentence: /^service rules could not be written, trying again: iptables-nft-restore .*: died of SIGSEGV$/,
    },
    {
      what: 'rules of pods cannot be read',
      tool: 'iptables-nft',
      // They are read where another program has written.
      cause: async () => await machine.succeed('nft', ['add', 'table', 'inet', 'stranger']),
      sentence: /^A pass over the network failed and is tried again: iptables-nft .*: died of SIGSEGV$/,
    },
    {
      what: 'links cannot be read',
      tool: 'ip',
      cause: async () => undefined,
      sentence: /^A pass over the network failed and is tried again: ip -j .*: died of SIGSEGV$/,
    },
  ]
  test.each(siblings)('$tool: $what', async ({ tool, cause, sentence }) => {
    await programs.crash(tool)
    await cause()
    const found = (): string | undefined => machine.warnings.find((message) => sentence.test(message))
    await vi.waitFor(() => expect(found()).toBeDefined(), eventually)
    await expectUnready(found() ?? '')
    await programs.mend()
    await expectReady()
    expect(said(found() ?? '')).toBe(1)
  })
})
