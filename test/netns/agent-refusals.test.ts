// What stands in an agent's way, on the machine or in the cluster: each gets the right CNI code and one sentence,
// nothing is half done, and once it is gone the agent goes on by itself.
import { existsSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { AgentMachine } from './agent-machine.ts'
import { describeKernel } from './scratch.ts'

const eventually = { timeout: 60_000, interval: 100 }

interface Obstacle {
  readonly what: string
  readonly begin: (machine: AgentMachine) => Promise<unknown>
  readonly end: (machine: AgentMachine) => Promise<unknown>
  /** In the log, and in what the runtime is told. */
  readonly sentence: RegExp
  /** Links that must not be there meanwhile. */
  readonly absent: readonly string[]
}

const ip = (line: string) => (machine: AgentMachine) => machine.succeed('ip', line.split(' '))
const sh = (script: string) => (machine: AgentMachine) => machine.succeed('sh', ['-ec', script])

const obstacles: readonly Obstacle[] = [
  {
    what: 'another VXLAN device with the same VNI and port',
    begin: ip('link add rival type vxlan id 1 dstport 8472 local 192.168.99.1 dev uplink'),
    end: ip('link del rival'),
    sentence:
      /^Link rival already is VXLAN 1 on UDP port 8472, so fairlead\.1 cannot be; remove it with `ip link del rival` or set another vni or vxlanPort on every node$/,
    absent: ['fairlead.1', 'cni0'],
  },
  {
    what: 'overlapping podCIDR',
    begin: (machine) =>
      machine.putNode('10.244.0.0/16', 'a-older', '192.168.99.2', ready()).then(() => machine.putNode('10.244.1.0/24')),
    end: (machine) => machine.api('DELETE', '/api/v1/nodes/a-older'),
    sentence:
      /^Node n1 has podCIDR 10\.244\.1\.0\/24, of which the older node a-older holds 10\.244\.0\.0\/16, and is left out, although both report; delete Node n1/,
    absent: ['fairlead.1', 'cni0'],
  },
  {
    what: 'missing podCIDR',
    begin: (machine) => machine.putNode(undefined),
    end: (machine) => machine.putNode('10.244.1.0/24'),
    sentence:
      /^Node n1 has no podCIDR yet: the controller manager assigns one when started with --allocate-node-cidrs$/,
    absent: ['fairlead.1', 'cni0'],
  },
  {
    what: 'podCIDR without room for a pod',
    begin: (machine) => machine.putNode('10.244.1.0/31'),
    end: (machine) => machine.putNode('10.244.1.0/24'),
    sentence: /^Expected a podCIDR with room for a pod beside its gateway, got `10\.244\.1\.0\/31`$/,
    absent: ['cni0'],
  },
  {
    what: 'missing Node',
    begin: (machine) => machine.api('DELETE', '/api/v1/nodes/n1'),
    end: (machine) => machine.putNode('10.244.1.0/24'),
    sentence: /^Node n1 is not known to the API server$/,
    absent: ['fairlead.1', 'cni0'],
  },
  {
    what: 'bridge name taken by a non-bridge',
    begin: ip('link add cni0 type veth peer name cni1'),
    end: ip('link del cni0'),
    sentence: /^cni0 is a veth interface and not a bridge: remove it, or choose another bridge name$/,
    absent: [],
  },
  {
    what: 'foreign bridge with ports',
    begin: sh(
      'ip link add cni0 type bridge; ip link add foreign0 type veth peer name foreign1; ip link set foreign0 master cni0',
    ),
    end: sh('ip link del cni0; ip link del foreign0'),
    sentence:
      /^cni0 is another's bridge with 1 ports \(foreign0\): remove the other network and its pods, choose another bridge name, or set takeOver to share it until they are gone$/,
    absent: [],
  },
  {
    what: 'a tool that answers nonsense',
    begin: garble(true),
    end: garble(false),
    sentence: /^A pass over the network failed and is tried again: .*ip .*JSON/,
    absent: ['fairlead.1', 'cni0'],
  },
]

/** `ip -j` prints half a document: a stand-in comes first on the agent's PATH. */
function garble(on: boolean): (machine: AgentMachine) => Promise<unknown> {
  return async (machine) => {
    const standIn = join(machine.dir, 'ip')
    writeFileSync(
      `${standIn}.new`,
      on
        ? '#!/bin/sh\ncase " $* " in *" -j "*|*" -json "*) echo "[{\\"ifindex\\":"; exit 0;; esac\nexec /usr/sbin/ip "$@"\n'
        : '#!/bin/sh\nexec /usr/sbin/ip "$@"\n',
      { mode: 0o755 },
    )
    // Renamed, as the agent may be starting it at this moment: an empty script would be an `ip` that does nothing and
    // succeeds.
    renameSync(`${standIn}.new`, standIn)
  }
}

describeKernel('an agent meets', () => {
  let machine: AgentMachine
  beforeAll(async () => {
    machine = await AgentMachine.start()
  })
  afterEach(async () => await machine.reset())
  afterAll(async () => await machine[Symbol.asyncDispose]())

  test.each(obstacles)(
    '$what: said once in the log and told to the runtime, nothing half done, over when it is gone',
    async ({ begin, end, sentence, absent }) => {
      await begin(machine)
      const links = async (): Promise<string[]> =>
        (await machine.succeed('ip', ['-br', 'link'])).split('\n').map((line) => line.split(/[@ ]/)[0] ?? '')
      const before = await links()
      machine.startAgent({ env: { PATH: `${machine.dir}:${process.env['PATH']}` } })
      await vi.waitFor(() => expect(machine.warnings).toContainEqual(expect.stringMatching(sentence)), eventually)
      await machine.addPodNamespace('p1')
      expect(await machine.cni('STATUS')).toMatchObject({ code: 50 })
      const refused = await machine.cni('ADD', { containerId: 'p1', netns: 'p1' })
      expect([refused.code, refused.document.details]).toEqual([11, expect.stringMatching(sentence)])
      expect(existsSync(machine.conflist)).toBe(false)
      expect(
        (await links()).filter((name) => !before.includes(name) && (absent.includes(name) || name.startsWith('veth'))),
      ).toEqual([])
      expect(machine.warnings.filter((message) => sentence.test(message))).toHaveLength(1)

      await end(machine)
      await machine.ready()
      const over = (): string[] => machine.log.flatMap(({ msg }) => /^no longer: (.*)/.exec(msg)?.[1] ?? [])
      await vi.waitFor(() => expect(over()).toContainEqual(expect.stringMatching(sentence)), eventually)
      expect(await machine.cni('ADD', { containerId: 'p1', netns: 'p1' })).toMatchObject({
        code: 0,
        document: { ips: [{ address: '10.244.1.2/24' }] },
      })
    },
  )
})

describeKernel('a running agent refuses', () => {
  test("a pod too many, a namespace that is not there, is the node's or is not propagated; and follows a changed podCIDR", async () => {
    await using machine = await AgentMachine.start('10.244.1.0/29')
    machine.startAgent()
    await machine.ready()
    const files = async (): Promise<number> =>
      (await machine.succeed('ls', ['/run/fairlead/attachments'])).split('\n').filter(Boolean).length
    for (const n of [1, 2, 3, 4, 5, 6]) await machine.addPodNamespace(`p${n}`)
    for (const n of [1, 2, 3, 4, 5])
      expect((await machine.cni('ADD', { containerId: `c${n}`, netns: `p${n}` })).code).toBe(0)
    const full = await machine.cni('ADD', { containerId: 'c6', netns: 'p6' })
    expect(full).toMatchObject({
      code: 11,
      document: {
        msg: 'No address is free in 10.244.1.0/29: 5 of 5 are used and 0 resting. Delete pods on this node or give it a larger podCIDR',
      },
    })
    expect([await files(), await machine.succeed('ip', ['-n', 'p6', '-br', 'link'])]).toEqual([
      5,
      expect.not.stringContaining('eth0'),
    ])
    expect((await machine.cni('DEL', { containerId: 'c6', netns: 'p6' })).code).toBe(0)
    expect((await machine.cni('DEL', { containerId: 'c3', netns: 'p3' })).code).toBe(0)
    expect(await machine.cni('ADD', { containerId: 'c6', netns: 'p6' })).toMatchObject({
      code: 0,
      document: { ips: [{ address: '10.244.1.4/29' }] },
    })

    expect(await machine.cni('ADD', { containerId: 'c7', netns: 'nowhere' })).toMatchObject({
      code: 8,
      document: { msg: 'network namespace /run/netns/nowhere does not exist' },
    })
    expect(await machine.cni('ADD', { containerId: 'c7', netns: '/proc/1/ns/net' })).toMatchObject({
      code: 8,
      document: { msg: "network namespace /proc/1/ns/net is the node's own" },
    })
    expect(await files()).toBe(5)

    const { document } = await machine.cni('ADD', { containerId: 'c1', netns: 'p1' })
    await machine.putNode('10.244.7.0/24')
    await vi.waitFor(
      async () => expect(await machine.succeed('ip', ['-br', 'addr', 'show', 'cni0'])).toMatch(/10\.244\.7\.1\/24/),
      eventually,
    )
    expect(await machine.cni('ADD', { containerId: 'c3', netns: 'p3' })).toMatchObject({
      code: 0,
      document: { ips: [{ address: '10.244.7.2/24' }] },
    })
    expect(await machine.cni('CHECK', { containerId: 'c1', netns: 'p1' }, { prevResult: document })).toMatchObject({
      code: 0,
    })
    expect(
      machine.warnings.filter((sentence) =>
        sentence.startsWith(
          "Pods with addresses of 10.244.1.0/29, which this node's podCIDR 10.244.7.0/24 has replaced, ",
        ),
      ),
    ).toHaveLength(1)
    for (const command of [
      /addr replace 10\.244\.7\.0\/32|addr replace 10\.244\.7\.0 /,
      /link set fairlead\.1 address 02:58:0a:f4:07:00/,
      /addr replace 10\.244\.7\.1\/24/,
    ])
      expect(machine.log).toContainEqual(
        expect.objectContaining({ msg: 'repaired', command: expect.stringMatching(command) as string }),
      )

    // A mount namespace that hears of no new mounts, as a hostPath without mountPropagation.
    await machine.killAgent()
    machine.startAgent({ lead: ['unshare', '--mount', '--propagation', 'private'] })
    await machine.ready()
    await machine.addPodNamespace('late')
    expect(await machine.cni('ADD', { containerId: 'late', netns: 'late' })).toMatchObject({
      code: 8,
      document: {
        msg: "the agent does not see the runtime's namespace at /run/netns/late",
        details: expect.stringContaining('mountPropagation: HostToContainer') as string,
      },
    })
    expect(await files()).toBe(6)
  })
})

/** The conditions of a node whose kubelet reports now. */
function ready(): object[] {
  return [{ type: 'Ready', status: 'True', lastHeartbeatTime: new Date().toISOString() }]
}
