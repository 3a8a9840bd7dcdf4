// A running node is damaged in every way that people have reported, while a pod on it goes on asking a pod of another
// node and a server outside.
import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { describeKernel } from './scratch.ts'
import { echoPod, root, TestLab } from './test-lab.ts'

const lab = new TestLab(`ft-heal-${process.pid}`)
const outside = '192.168.0.100'

/**
 * Connects to each target again and again, and prints a line for each try: its begin (ms since the epoch), the target,
 * whether it was answered.
 */
const proberScript = `
const { connect } = require('node:net')
const once = (host) => new Promise((resolve) => {
  const begin = Date.now()
  const socket = connect({ host, port: 8080 }, () => socket.write('?\\n'))
  const end = (ok) => { socket.destroy(); console.log(begin, host, ok); resolve() }
  socket.setTimeout(400, () => end(false)).once('data', () => end(true)).once('error', () => end(false))
})
for (const host of process.argv.slice(1)) setInterval(() => void once(host), 100)
`

interface Try {
  readonly at: number
  readonly target: string
  readonly ok: boolean
}

interface Line {
  readonly time: number
  readonly msg: string
  readonly command?: string
  readonly rules?: readonly string[]
}

let prober: ChildProcess
const tries: Try[] = []

const onNode = (script: string): Promise<string> => lab.succeed(['node', 'node1', '--', 'sh', '-ec', script])
/** What the agent of node1 says that it has put right since then. */
function repairsSince(time: number): string[] {
  const lines = readFileSync(`/run/flab/${lab.name}/logs/agent-node1.log`, 'utf8')
    .split('\n')
    .filter((line) => line.includes('repaired'))
    .map((line) => JSON.parse(line) as Line)
  return lines.filter((line) => line.time >= time).flatMap(({ command, rules = [] }) => command ?? rules)
}

/**
 * Each with what the log has to name; OWN and PEER stand for the first three numbers of the nodes' podCIDRs, OWNMAC for
 * the VTEP's.
 */
const damages = [
  {
    what: 'fairlead.1 deleted',
    script: 'ip link del fairlead.1',
    named: ['link add fairlead.1 ', 'route replace PEER.0/24'],
  },
  { what: 'its FDB flushed', script: 'bridge fdb flush dev fairlead.1', named: ['fdb replace '] },
  { what: "a peer's route deleted", script: 'ip route del PEER.0/24', named: ['route replace PEER.0/24'] },
  { what: "a peer's neighbour deleted", script: 'ip neigh del PEER.0 dev fairlead.1', named: ['neigh replace PEER.0'] },
  {
    what: 'device taken down and up',
    script: 'ip link set fairlead.1 down; ip link set fairlead.1 up',
    named: ['neigh replace PEER.0', 'route replace PEER.0/24'],
  },
  { what: 'device taken down', script: 'ip link set fairlead.1 down', named: ['link set fairlead.1 up'] },
  {
    what: 'its MAC changed',
    script: 'ip link set fairlead.1 address 02:00:00:00:00:01',
    named: ['link set fairlead.1 address OWNMAC'],
  },
  { what: 'cni0 deleted', script: 'ip link del cni0', named: ['link add cni0 ', 'link set veth\\S+ master cni0'] },
  {
    what: "a pod's veth taken off the bridge",
    script: 'ip link set "$(basename /sys/class/net/cni0/brif/*)" nomaster',
    named: ['link set veth\\S+ master cni0'],
  },
  { what: 'cni0 loses its address', script: 'ip addr flush dev cni0', named: ['addr replace OWN.1/24'] },
  { what: 'FORWARD flushed', script: 'iptables -F FORWARD', named: ['filter FORWARD > FAIRLEAD-FORWARD'] },
  {
    what: 'nat flushed',
    script: 'iptables -t nat -F',
    named: ['nat FAIRLEAD-EGRESS', 'nat POSTROUTING > FAIRLEAD-EGRESS'],
  },
  {
    what: 'forwarding switched off',
    script: 'sysctl -qw net.ipv4.ip_forward=0; ip link set lo promisc on; ip link set lo promisc off',
    named: [],
  },
]

describeKernel('a running node', () => {
  beforeAll(async () => {
    await lab.succeed(['up', '--nodes', '2'])
    await lab.apply(echoPod('one', 'node1'), echoPod('two', 'node2'))
    const { address } = await lab.readyPod('two')
    await lab.readyPod('one')
    // As Docker has it: what FAIRLEAD-FORWARD does not accept is dropped.
    await onNode('iptables -P FORWARD DROP')
    prober = spawn(
      join(root, 'bin/fairlead'),
      ['lab', 'exec', '--name', lab.name, 'one', '--', process.execPath, '-e', proberScript, address, outside],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    )
    createInterface({ input: prober.stdout! }).on('line', (line) => {
      const [at, target = '', ok] = line.split(' ')
      tries.push({ at: Number(at), target, ok: ok === 'true' })
    })
    await vi.waitFor(() => expect(new Set(tries.filter(({ ok }) => ok).map(({ target }) => target)).size).toBe(2), {
      timeout: 60_000,
      interval: 100,
    })
  })
  afterAll(async () => {
    prober.kill()
    await lab[Symbol.asyncDispose]()
  })

  test('is put right after each damage, both ways are open again, and the log names what was repaired', async () => {
    const [own, peer] = (await lab.status()).nodes.map(({ podCidr }) => podCidr.replace('.0/24', ''))
    const mac = `02:58:${[...own!.split('.'), '0'].map((byte) => Number(byte).toString(16).padStart(2, '0')).join(':')}`
    const fill = (text: string): string =>
      text.replaceAll('OWNMAC', mac).replaceAll('OWN', own!).replaceAll('PEER', peer!)
    const report: string[] = []
    for (const { what, script, named } of damages) {
      const begin = Date.now()
      await onNode(fill(script))
      await vi.waitFor(
        () => {
          const repairs = repairsSince(begin)
          expect([
            what,
            ...named.filter((pattern) => !repairs.some((repair) => new RegExp(fill(pattern)).test(repair))),
          ]).toEqual([what])
          // Ten answers in a row from both.
          const last = tries.slice(-20)
          expect([what, ...last.filter(({ at, ok }) => !ok || at < begin)]).toEqual([what])
        },
        { timeout: 60_000, interval: 100 },
      )
      const failures = tries.filter(({ at, ok }) => at >= begin && !ok)
      const outage = failures.length === 0 ? 0 : Math.max(...failures.map(({ at }) => at)) - begin
      expect([what, outage < 10_000]).toEqual([what, true])
      report.push(
        `${what}: ${failures.length === 0 ? 'no connection failed' : `last failed connection began ${outage} ms after`}`,
      )
    }
    console.log(report.join('\n'))
  }, 300_000)

  test('keeps its loopback services from pods, though localhost host ports are on', async () => {
    const [own] = (await lab.status()).nodes
    const gateway = own!.podCidr.replace('.0/24', '.1')
    // What a pod with NET_ADMIN can do to itself: 127.0.0.1 leads to its gateway.
    const knock = async (word: string): Promise<void> =>
      void (await lab.succeed([
        'exec',
        'attacker',
        '--',
        'sh',
        '-c',
        [
          'echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet',
          'ip route flush table local root 127.0.0.0/8',
          `ip route replace 127.0.0.0/8 via ${gateway}`,
          `echo ${word} | socat - UDP-SENDTO:127.0.0.1:9999,bind=$(hostname -I | cut -d' ' -f1)`,
        ].join('; '),
      ]))
    const heard = (): Promise<string> => onNode('cat /run/heard')
    await lab.apply(echoPod('attacker', 'node1'))
    await lab.readyPod('attacker')
    await onNode(
      'setsid socat -u UDP-RECV:9999,bind=127.0.0.1 OPEN:/run/heard,creat,append >/dev/null 2>&1 & sleep 0.3; echo self | socat - UDP-SENDTO:127.0.0.1:9999',
    )
    const dropped = async (): Promise<number> =>
      Number(
        await onNode('iptables -t mangle -nvxL FAIRLEAD-LOCALNET | awk "NR > 2 { sum += \\$1 } END { print sum }"'),
      )
    const before = await dropped()
    await knock('guarded')
    expect([(await dropped()) - before, await heard()]).toEqual([1, 'self'])
    // Without the guard the same packet arrives: so it is the guard that stops it.
    await lab.succeed(['agent', 'stop', 'node1'])
    await vi.waitFor(
      async () => {
        // kube-proxy's rule of the same purpose, where Services run, comes only after ours and has to be out of the way
        // too.
        await onNode('iptables -t mangle -F FAIRLEAD-LOCALNET; iptables -F KUBE-FIREWALL 2>/dev/null || true')
        await knock('unguarded')
        expect(await heard()).toMatch(/^self\nunguarded/)
      },
      { timeout: 60_000, interval: 200 },
    )
    await lab.succeed(['agent', 'start', 'node1'])
    await vi.waitFor(
      async () => expect(await onNode('iptables -t mangle -S FAIRLEAD-LOCALNET')).toContain('-d 127.0.0.0/8'),
      { timeout: 60_000, interval: 200 },
    )
  })
})
