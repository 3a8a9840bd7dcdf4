// The lives of pods under a real container runtime: containerd calls our binary, and kubelet's part is played over CRI.
import { basename } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { CriLab, describeRuntime } from './cri-lab.ts'
import { expectNothingLeft, podPort } from './cri-node.ts'

const nodeAddress = { node1: '192.168.0.21', node2: '192.168.0.22' }
const hostPort = 18_080
const many = 60

interface Qdisc {
  readonly kind: string
  readonly dev: string
  readonly options: { readonly rate?: number }
}

describeRuntime('pods under containerd', () => {
  const lab = new CriLab(`ft-cri-${process.pid}`)
  const [one, two] = lab.nodes
  beforeAll(async () => await lab.up())
  afterAll(async () => await lab[Symbol.asyncDispose]())

  test('our binary is the only plugin, loopback included', async () => {
    expect(await one.succeed('cd /opt/cni/bin; ls; for each in *; do cmp $each fairlead-cni; done')).toBe(
      'fairlead-cni\nloopback',
    )
  })

  test('of two nodes talk both ways under their own addresses, and each with itself over lo', async () => {
    const [a, b] = [await one.runPod(one.sandboxConfig('a')), await two.runPod(two.sandboxConfig('b'))]
    const answers = [await one.ask(a, b.address), await two.ask(b, a.address), await one.ask(a, '127.0.0.1')]
    expect(answers).toEqual([`b ${a.address}`, `a ${b.address}`, 'a 127.0.0.1'])
    // So that the checks below can find something.
    expect(await one.leftovers()).toHaveLength(3)
    await one.removeSandbox(a.sandbox)
    await two.removeSandbox(b.sandbox)
    await expectNothingLeft(one)
    await expectNothingLeft(two)
  })

  test('have the hostPort and the bandwidth that their sandbox asks for', async () => {
    const pod = await one.runPod(
      one.sandboxConfig('web', {
        portMappings: [{ protocol: 'TCP', containerPort: podPort, hostPort }],
        annotations: { 'kubernetes.io/ingress-bandwidth': '8M', 'kubernetes.io/egress-bandwidth': '16M' },
      }),
    )
    const client = await two.runPod(two.sandboxConfig('client'))
    // A pod of another node comes with that node's address: it goes to an address that is no pod's.
    expect(await two.ask(client, nodeAddress.node1, hostPort)).toBe(`web ${nodeAddress.node2}`)
    expect(await two.succeed(`socat -u TCP:${nodeAddress.node1}:${hostPort} -`)).toBe(`web ${nodeAddress.node2}`)
    expect(await one.succeed(`socat -u TCP:127.0.0.1:${hostPort} -`)).toMatch(/^web /)
    const qdiscs = (JSON.parse(await one.succeed('tc -j qdisc show')) as Qdisc[]).filter(({ kind }) => kind === 'tbf')
    // In bytes a second.
    expect(qdiscs.map(({ dev, options }) => [dev.slice(0, 3), options.rate])).toEqual(
      expect.arrayContaining([
        ['vet', 1_000_000],
        ['ifb', 2_000_000],
      ]),
    )

    await Promise.all([one.removeSandbox(pod.sandbox), two.removeSandbox(client.sandbox)])
    await expectNothingLeft(one)
    expect(
      (await two.run(['socat', '-u', `TCP:${nodeAddress.node1}:${hostPort},connect-timeout=2`, '-'])).exitCode,
    ).toBe(1)
  })

  test('keep address, host port and limits while their agent loses its records, and are removed as ever', async () => {
    const config = one.sandboxConfig('web', {
      portMappings: [{ protocol: 'TCP', containerPort: podPort, hostPort }],
      annotations: { 'kubernetes.io/ingress-bandwidth': '8M', 'kubernetes.io/egress-bandwidth': '16M' },
    })
    const [pod, client] = [await one.runPod(config), await two.runPod(two.sandboxConfig('client'))]
    await lab.switchAgent(one, 'stop')
    // As an earlier version left it: what is known comes from containerd's cache, the rules of the port too.
    await one.succeed(`
      rm -rf /run/fairlead/*
      for link in /sys/class/net/veth*; do ip link set "\${link##*/}" alias ""; done
      iptables -t nat -F FAIRLEAD-HOSTPORT-DNAT`)
    await lab.switchAgent(one, 'start')
    await expect
      .poll(
        async () => await two.succeed(`socat -u TCP:${nodeAddress.node1}:${hostPort},connect-timeout=2 - || true`),
        {
          timeout: 60_000,
        },
      )
      .toBe(`web ${nodeAddress.node2}`)
    expect(await two.ask(client, pod.address)).toBe(`web ${client.address}`)
    expect(await one.succeed('cat /run/fairlead/attachments/*')).toContain('"bandwidth":{"ingress":{"rateBits":8000000')
    const next = await one.runSandbox(one.sandboxConfig('next'))
    expect(next.address).not.toBe(pod.address)
    for (const { sandbox } of [pod, next]) await one.removeSandbox(sandbox)
    await two.removeSandbox(client.sandbox)
    await expectNothingLeft(one)
  })

  test('go on with a new sandbox when the process that held the old one ends', async () => {
    const config = one.sandboxConfig('again')
    const first = await one.runPod(config)
    const { pid } = await one.insideOf(first.sandbox)
    await one.succeed(`kill -KILL ${pid}`)
    await expect
      .poll(async () => (await one.cri.call('PodSandboxStatus', { podSandboxId: first.sandbox })).status.state, {
        timeout: 60_000,
      })
      .toBe('SANDBOX_NOTREADY')
    await one.cri.call('StopPodSandbox', { podSandboxId: first.sandbox })
    const second = await one.runPod({ ...config, metadata: { ...config.metadata, attempt: 1 } })
    // The address of before rests.
    expect(second.address).not.toBe(first.address)
    expect(await one.ask(second, second.address)).toBe(`again ${second.address}`)
    await one.cri.call('RemovePodSandbox', { podSandboxId: first.sandbox })
    await one.removeSandbox(second.sandbox)
    await expectNothingLeft(one)
  })

  test('keep their network while containerd is killed and starts again, and are removed by the new one', async () => {
    const [a, b] = [await one.runPod(one.sandboxConfig('a')), await two.runPod(two.sandboxConfig('b'))]
    await one.containerd.kill()
    expect(await two.ask(b, a.address)).toBe(`a ${b.address}`)
    await one.containerd.start()
    expect(await one.addressOf(a.sandbox)).toBe(a.address)
    expect(await one.ask(a, b.address)).toBe(`b ${a.address}`)
    const later = await one.runPod(one.sandboxConfig('later'))
    expect(await one.ask(later, a.address)).toBe(`a ${later.address}`)
    for (const { sandbox } of [a, later]) await one.removeSandbox(sandbox)
    await two.removeSandbox(b.sandbox)
    await expectNothingLeft(one)
  })

  test('whose network namespace has vanished are removed like others, and DEL may come again', async () => {
    const pod = await one.runSandbox(one.sandboxConfig('lost'))
    const { pid, netns } = await one.insideOf(pod.sandbox)
    await one.succeed(`kill -KILL ${pid}; ip netns delete ${basename(netns)}`)
    await expect.poll(async () => await one.succeed('ip -br link'), { timeout: 60_000 }).not.toContain('veth')
    const before = await one.answered('DEL')
    for (let i = 0; i < 2; i++) await one.cri.call('StopPodSandbox', { podSandboxId: pod.sandbox })
    expect(await one.answered('DEL')).toBe(before + 2)
    await one.cri.call('RemovePodSandbox', { podSandboxId: pod.sandbox })
    await expectNothingLeft(one)
  })

  test(`start ${many} at once, each with an address of its own, and leave nothing`, async () => {
    const pods = await Promise.all(
      Array.from({ length: many }, async (_, i) => await one.runSandbox(one.sandboxConfig(`many-${i}`))),
    )
    const addresses = pods.map(({ address }) => address)
    expect(new Set(addresses).size).toBe(many)
    expect(addresses.filter((address) => !address.startsWith('172.30.'))).toEqual([])
    await one.succeed(addresses.map((address) => `ping -q -c 1 -W 2 ${address} >/dev/null`).join('\n'))
    await Promise.all(pods.map(async ({ sandbox }) => await one.removeSandbox(sandbox)))
    await expectNothingLeft(one)
    expect((await one.cri.call('ListPodSandbox', {})).items).toEqual([])
  })
})
