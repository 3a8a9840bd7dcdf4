// Before the agent is ready, and without it: what containerd tells kubelet about the node, and what becomes of pods
// that come or go then.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { CriLab, describeRuntime } from './cri-lab.ts'
import { expectNothingLeft } from './cri-node.ts'

const conflist = '/etc/cni/net.d/05-fairlead.conflist'
const uninitialized = { status: false, message: expect.stringContaining('cni plugin not initialized') as string }
const unreachable = {
  status: false,
  message: expect.stringContaining('the fairlead agent is not running on this node') as string,
}
const ready = { status: true, message: '' }

describeRuntime('containerd and an agent that is not there', () => {
  const lab = new CriLab(`ft-cri-agent-${process.pid}`)
  const [node] = lab.nodes
  beforeAll(async () => await lab.up())
  afterAll(async () => await lab[Symbol.asyncDispose]())

  const networkReady = () => expect.poll(() => node.networkReady(), { timeout: 60_000 })

  /**
   * What a runtime of libcni 1.2 and later asks every few seconds; containerd before 2 never does. Answers the code, 0
   * for ready, and the words.
   */
  async function status(): Promise<{ code: number; said: string }> {
    const conf = { cniVersion: '1.1.0', name: 'fairlead', type: 'fairlead-cni' }
    const { exitCode, stdout } = await node.run(['/opt/cni/bin/fairlead-cni'], {
      input: JSON.stringify(conf),
      env: { CNI_COMMAND: 'STATUS', CNI_PATH: '/opt/cni/bin' },
    })
    return exitCode === 0
      ? { code: 0, said: stdout }
      : { code: (JSON.parse(stdout) as { code: number }).code, said: stdout }
  }

  test("the node's network is ready while our configuration is there, which comes when the agent is ready and not before", async () => {
    expect([await node.networkReady(), await status()]).toEqual([ready, { code: 0, said: '' }])
    await lab.switchAgent(node, 'stop')
    // Stopping leaves the configuration: pods of now need it for their DEL. A containerd that asks for STATUS tells
    // kubelet our own words.
    const asks = !(await node.cri.call('Version', { version: 'v1' })).runtimeVersion.startsWith('1.')
    expect([await node.networkReady(), (await status()).code]).toEqual([asks ? unreachable : ready, 50])

    await node.succeed(
      `rm ${conflist}; ip link del fairlead.1; ip link add flannel.1 type vxlan id 1 dstport 8472 local 192.168.0.21 dev eth0`,
    )
    await networkReady().toEqual(uninitialized)
    await lab.switchAgent(node, 'start')
    const obstacle = 'Link flannel.1 already is VXLAN 1'
    await expect
      .poll(async () => await node.get(10256, '/readyz'), { timeout: 60_000 })
      .toContain(`not ready: ${obstacle}`)
    expect(await status()).toEqual({ code: 50, said: expect.stringContaining(obstacle) as string })
    expect([await node.networkReady(), (await node.run(['test', '-e', conflist])).exitCode]).toEqual([uninitialized, 1])
    await expect(node.runSandbox(node.sandboxConfig('early'))).rejects.toThrow('cni plugin not initialized')

    await node.succeed('ip link del flannel.1')
    await networkReady().toEqual(ready)
    expect(await status()).toEqual({ code: 0, said: '' })
    await node.runSandbox(node.sandboxConfig('early'))
    // Without a network containerd could not undo the first attempt either; it is listed until kubelet removes it.
    const { items } = await node.cri.call('ListPodSandbox', {})
    for (const { id } of items) await node.removeSandbox(id)
    await expectNothingLeft(node)
  })

  test('a pod that comes while the agent restarts waits for it', async () => {
    await lab.switchAgent(node, 'stop')
    const coming = node.runSandbox(node.sandboxConfig('patient'))
    await expect
      .poll(() => node.succeed('cat /proc/[0-9]*/comm 2>/dev/null || true'), { timeout: 60_000 })
      .toContain('fairlead-cni')
    await lab.switchAgent(node, 'start')
    const { sandbox, address } = await coming
    expect(address).toMatch(/^172\.30\./)
    await node.removeSandbox(sandbox)
    await expectNothingLeft(node)
  })

  test('without an agent a pod fails in a sentence that says so, and succeeds when kubelet tries again; a pod that goes is cleaned up after', async () => {
    const before = await node.runPod(node.sandboxConfig('before'))
    await lab.switchAgent(node, 'stop')
    const config = node.sandboxConfig('eager')
    await expect(node.runSandbox(config)).rejects.toThrow(
      'the fairlead agent is not running on this node: nothing listens at /run/fairlead/cni.sock',
    )
    await node.removeSandbox(before.sandbox)
    await lab.switchAgent(node, 'start')
    const { sandbox } = await node.runSandbox({ ...config, metadata: { ...config.metadata, attempt: 1 } })
    await node.removeSandbox(sandbox)
    await expectNothingLeft(node)
  })
})
