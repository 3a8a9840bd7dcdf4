// Tables that a newer nft wrote, in any family: this machine's nft crashes when it reads them, and nothing of ours does.
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readNftTables } from '../../src/kernel/nft-tables.ts'
import { AgentMachine, until } from './agent-machine.ts'
import { NewerNft, newerRoot, nftFamilies, realTables } from './newer-nft.ts'
import { describeKernel, type ScratchNamespace, scratchNamespace } from './scratch.ts'

/** Every kind of line that the agent writes, the second text on what the first one made. */
const texts = [
  `add table inet fairlead
delete table inet fairlead
add table inet fairlead
add set inet fairlead pods { typeof ip saddr; elements = { 10.0.0.1, 10.0.0.2 } }
add set inet fairlead blocks { typeof ip saddr; flags interval; elements = { 10.1.0.0-10.1.0.255 } }
add map inet fairlead egress { typeof ip saddr : verdict; }
add chain inet fairlead forward { type filter hook forward priority 10; policy accept; }
add chain inet fairlead one
add rule inet fairlead one ip daddr @pods return
add rule inet fairlead one ip daddr @blocks tcp dport { 80, 90-100 } return
add rule inet fairlead forward ip saddr vmap @egress
add element inet fairlead egress { 10.0.0.1 : jump one }
add table bridge fairlead
add set bridge fairlead senders { typeof iifname; elements = { "a" } }
add chain bridge fairlead prerouting { type filter hook prerouting priority -300; policy accept; }
add rule bridge fairlead prerouting iifname @senders drop
`,
  `add chain inet fairlead two
add rule inet fairlead two ip daddr @pods return
delete element inet fairlead egress { 10.0.0.1 }
add element inet fairlead egress { 10.0.0.2 : jump two }
delete element inet fairlead blocks { 10.1.0.0-10.1.0.255 }
add element inet fairlead blocks { 10.2.0.0-10.2.0.255 }
add element bridge fairlead senders { "b" }
flush chain inet fairlead one
delete chain inet fairlead one
`,
]
const ours = ['inet fairlead', 'bridge fairlead']
const fairlead = join(import.meta.dirname, '../../bin/fairlead')
const objects = '/apis/networking.k8s.io/v1/namespaces/default/networkpolicies'
/** How many pods start, and how often a policy changes. */
const rounds = process.env['FAIRLEAD_LONG'] === undefined ? 8 : 200

describeKernel('tables that a newer nft wrote', () => {
  let newer: NewerNft
  beforeAll(() => {
    newer = new NewerNft()
  })
  afterAll(() => newer[Symbol.dispose]())

  /** The tables of a newer nft, in every family. */
  async function write(machine: AgentMachine): Promise<void> {
    await machine.succeed(newer.program, nftFamilies)
    if (newerRoot === undefined) return
    const real = await machine.run('chroot', [newerRoot, 'nft', '-f', '-'], {
      input: Object.values(realTables).join(''),
    })
    expect(real).toMatchObject({ exitCode: 0, stderr: '' })
  }

  async function remove(machine: AgentMachine): Promise<void> {
    await machine.succeed(
      newer.program,
      nftFamilies.map((family) => `-${family}`),
    )
    if (newerRoot === undefined) return
    const input = nftFamilies.map((family) => `delete table ${family} real\n`).join('')
    expect(await machine.run('chroot', [newerRoot, 'nft', '-f', '-'], { input })).toMatchObject({ exitCode: 0 })
  }

  /** What our tables are after both texts. */
  async function written({ kernel }: ScratchNamespace): Promise<unknown> {
    for (const text of texts) await kernel.applyNft(text)
    return await Promise.all([
      ...ours.map(async (table) => kernel.listNft(`table ${table}`)),
      kernel.listNft('set inet fairlead blocks'),
      kernel.listNft('map inet fairlead egress'),
    ])
  }

  test('are in the way of no transaction and no list of ours, in whatever family', async () => {
    await using alone = await scratchNamespace()
    // Tables are numbered.
    await alone.run('nft', ['add', 'table', 'ip', 'other'])
    const expected = await written(alone)
    for (const family of nftFamilies) {
      await using node = await scratchNamespace()
      await node.run(newer.program, [family])
      // The control: a text that asks for them, or is free to read them, is the end of nft.
      await expect(node.run('nft', ['list', 'ruleset'])).rejects.toMatchObject({ kind: 'killed' })
      expect([family, await written(node)]).toEqual([family, expected])
      await node.kernel.applyNft(ours.map((table) => `delete table ${table}\n`).join(''))
      expect(await readNftTables(node.kernel)).toEqual([{ family, name: 'other', madeBy: [9, 9, 9, 0] }])
    }
  })

  test(`cost an agent nothing, before its start and while ${rounds} pods start and policies change`, async () => {
    await using machine = await AgentMachine.start()
    await write(machine)
    machine.startAgent()
    await machine.ready()
    await putPolicy(machine, 'POST', [])

    const storm = { over: false }
    const others = (async () => {
      while (!storm.over) {
        await remove(machine)
        await write(machine)
      }
    })()
    for (let n = 1; n <= rounds; n++) {
      const name = `p${n}`
      await machine.api('POST', '/api/v1/namespaces/default/pods', {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name, labels: { app: 'db' } },
        spec: { nodeName: 'n1', containers: [{ name: 'c', image: 'i' }] },
      })
      await machine.addPodNamespace(name)
      const { code, document } = await machine.cni('ADD', { containerId: name, netns: name })
      expect([n, code, document.details]).toEqual([n, 0, undefined])
      const address = document.ips?.[0]?.address.split('/')[0] ?? ''
      // Its verdicts are there when its ADD is answered, and a changed policy follows.
      expect(await chainsOf(machine)).toContain(`${address} : jump ingress-`)
      const before = await chainsOf(machine)
      await putPolicy(machine, 'PUT', [{ ports: [{ port: n }] }])
      await until(async () => (await chainsOf(machine)) !== before, `change ${n} of the policy to be in force`)
    }
    storm.over = true
    await others

    expect(machine.warnings.filter((message) => !message.includes('changed of the policy rules'))).toEqual([])
    const status = await machine.run(fairlead, ['status'])
    expect([status.exitCode, status.stdout]).toEqual([0, expect.stringMatching(/^node n1: ready\nnetwork: /)])
    expect(await machine.metrics()).toMatch(
      /^fairlead_policy_denied_packets_total\{direction="ingress",namespace="default",pod="p1",policies="isolated"\} 0$/m,
    )
    const doctor = await machine.run(fairlead, ['doctor', '--cni-conf-dir', join(machine.dir, 'net.d')])
    expect(doctor.stdout).toMatch(
      /\nFAILED {2}nft .*\n {8}nft \d\S+ here cannot list table ip other \(of nft 9\.9\.9\), .* \(died of SIGSEGV.*\)\n {8}-> /,
    )
    expect(doctor.stdout.match(/^FAILED/gm)).toHaveLength(1)
    const trace = await machine.run(fairlead, ['trace', '--from', 'p1', '--to', 'p2', '-o', 'json'])
    expect(trace.stdout).toContain('map ingress4: ')

    await machine.killAgent('TERM')
    await machine.succeed(fairlead, ['cleanup', '--cni-conf-dir', join(machine.dir, 'net.d')])
    const left = await machine.succeed(join(import.meta.dirname, '../../dist/nft-tables'), [])
    expect(left).not.toContain(' fairlead\n')
    expect(left.match(/ other\n/g)).toHaveLength(nftFamilies.length)
  })
})

/** Ingress to the pods with `app: db`, at first by POST. */
async function putPolicy(machine: AgentMachine, method: 'POST' | 'PUT', ingress: readonly object[]): Promise<void> {
  await machine.api(method, method === 'POST' ? objects : `${objects}/isolated`, {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: 'isolated' },
    spec: { podSelector: { matchLabels: { app: 'db' } }, ingress },
  })
}

/** The verdict map of ingress, as nft prints it: which pod's packets go to which chain. */
async function chainsOf(machine: AgentMachine): Promise<string> {
  const { stdout } = await machine.run('nft', ['list', 'map', 'inet', 'fairlead', 'ingress4'])
  return stdout.replaceAll(/\s+/g, ' ')
}
