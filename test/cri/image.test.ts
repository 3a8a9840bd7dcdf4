// The image itself: containerd runs the DaemonSet's pod on two nodes as its manifest says, and the agent in it serves
// that same containerd. TEST_IMAGE is the image as `docker save` writes it: make image && docker save fairlead:latest
// -o /tmp/fairlead.tar && TEST_IMAGE=/tmp/fairlead.tar npx vitest run test/cri/image.test.ts
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parse } from 'yaml'
import type { Container, PodSpec } from '../netns/pod-container.ts'
import { root } from '../netns/test-lab.ts'
import type { SandboxConfig } from './cri-client.ts'
import { CriLab, describeRuntime } from './cri-lab.ts'
import { type CriNode, expectNothingLeft, podPort } from './cri-node.ts'
import { containerConfigOf, hostPathScript } from './pod-of-manifest.ts'

const archive = process.env['TEST_IMAGE']
const pod = (
  parse(readFileSync(join(root, 'deploy/base/daemonset.yaml'), 'utf8')) as { spec: { template: { spec: PodSpec } } }
).spec.template.spec

/** The DaemonSet's pod on one node. */
interface DaemonPod {
  readonly config: SandboxConfig
  readonly sandbox: string
  agent: string
}

describeRuntime(
  'the image',
  () => {
    const lab = new CriLab(`ft-cri-image-${process.pid}`)
    const [one, two] = lab.nodes
    const pods = new Map<CriNode, DaemonPod>()
    let image = ''
    beforeAll(async () => {
      await lab.up()
      const [saved] = JSON.parse((await execa('tar', ['-xOf', archive!, 'manifest.json'])).stdout) as {
        RepoTags: string[]
      }[]
      image = saved?.RepoTags[0] ?? ''
      const here = join(lab.directory, 'image.tar')
      await execa('cp', [archive!, here])
      for (const node of lab.nodes) {
        // A node as it is before us, under a systemd that shares its mounts; the lab's own agent goes. The directory
        // that containerd watches has to stay.
        await lab.switchAgent(node, 'stop')
        await node.succeed(
          'ip link del cni0; ip link del fairlead.1; rm -r /opt/cni /etc/cni/net.d/* /run/fairlead; mount --make-rshared /',
        )
        await node.containerd.importImage(here, image)
      }
    }, 300_000)
    afterAll(async () => await lab[Symbol.asyncDispose]())

    /** Its files as kubelet mounts a ConfigMap; the lab's kubeconfig stands for the service account. */
    function configOf(node: CriNode): string {
      const directory = join(lab.directory, `config-${node.name}`)
      mkdirSync(directory, { recursive: true })
      writeFileSync(join(directory, 'config.yaml'), 'logLevel: debug\nkubeconfig: /etc/fairlead/kubeconfig\n')
      writeFileSync(join(directory, 'kubeconfig'), readFileSync(join(lab.directory, `agent-${node.name}.kubeconfig`)))
      return directory
    }

    async function start(
      node: CriNode,
      daemon: Pick<DaemonPod, 'config' | 'sandbox'>,
      container: Container | undefined,
      attempt: number,
    ): Promise<string> {
      const surroundings = {
        image,
        attempt,
        env: { FAIRLEAD_NODE_NAME: node.name },
        configMaps: { fairlead: configOf(node) },
      }
      return await node.startContainer(daemon.sandbox, daemon.config, containerConfigOf(pod, container!, surroundings))
    }

    async function startDaemonPod(node: CriNode): Promise<void> {
      await node.succeed(hostPathScript(pod))
      const plain = node.sandboxConfig('fairlead')
      // In the node's namespaces it has the node's host name.
      const config = {
        ...plain,
        hostname: '',
        logDirectory: join(lab.directory, `logs-${node.name}`),
        linux: { ...plain.linux, securityContext: { namespaceOptions: { network: 'NODE' as const } } },
      }
      const { podSandboxId: sandbox } = await node.cri.call('RunPodSandbox', { config })
      const install = await start(node, { config, sandbox }, pod.initContainers?.[0], 0)
      await expect
        .poll(async () => (await node.cri.call('ContainerStatus', { containerId: install })).status, {
          timeout: 60_000,
        })
        .toEqual({ state: 'CONTAINER_EXITED', exitCode: 0 })
      pods.set(node, { config, sandbox, agent: await start(node, { config, sandbox }, pod.containers[0], 0) })
    }

    test('installs onto a node without anything of ours, and makes its network ready', async () => {
      for (const node of lab.nodes) {
        expect(await node.networkReady()).toMatchObject({ status: false })
        await startDaemonPod(node)
        await expect.poll(() => node.networkReady(), { timeout: 60_000 }).toEqual({ status: true, message: '' })
        expect(await node.succeed('ls /opt/cni/bin')).toBe('fairlead-cni\nloopback')
        const { stdout } = await node.cri.call('ExecSync', {
          containerId: pods.get(node)!.agent,
          cmd: ['grep', '^Seccomp:', '/proc/self/status'],
          timeout: 10,
        })
        expect(stdout.toString()).toBe('Seccomp:\t2\n')
      }
    })

    test('serves pods of both nodes, with host ports and limits', async () => {
      const web = await one.runPod(
        one.sandboxConfig('web', {
          portMappings: [{ protocol: 'TCP', containerPort: podPort, hostPort: 18_080 }],
          annotations: { 'kubernetes.io/ingress-bandwidth': '8M' },
        }),
      )
      const client = await two.runPod(two.sandboxConfig('client'))
      const answers = [
        await two.ask(client, web.address),
        await one.ask(web, client.address),
        await two.ask(client, '192.168.0.21', 18_080),
      ]
      expect(answers).toEqual([`web ${client.address}`, `client ${web.address}`, 'web 192.168.0.22'])
      await one.removeSandbox(web.sandbox)
      await two.removeSandbox(client.sandbox)
    })

    test('is replaced under running pods, and pods that start meanwhile wait for the next agent', async () => {
      const daemon = pods.get(one)!
      const before = await one.runPod(one.sandboxConfig('before'))
      await one.cri.call('StopContainer', { containerId: daemon.agent, timeout: 10 })
      const meanwhile = one.runPod(one.sandboxConfig('meanwhile'))
      await expect
        .poll(() => one.succeed('cat /proc/[0-9]*/comm 2>/dev/null || true'), { timeout: 60_000 })
        .toContain('fairlead-cni')
      daemon.agent = await start(one, daemon, pod.containers[0], 1)
      const after = await meanwhile
      expect([await one.ask(after, before.address), await one.ask(before, after.address)]).toEqual([
        `before ${after.address}`,
        `meanwhile ${before.address}`,
      ])
      for (const { sandbox } of [before, after]) await one.removeSandbox(sandbox)
    })

    test('leaves nothing of its pods, and says nothing that a person has to read', async () => {
      for (const node of lab.nodes) {
        const { sandbox } = pods.get(node)!
        const logs = await node.succeed(`cat ${lab.directory}/logs-${node.name}/agent-*.log`)
        expect(logs.split('\n').filter((line) => /"level":[456]0/.test(line))).toEqual([])
        console.log(
          `${node.name}: resident memory of the agent, MB: ${Number(/^process_resident_memory_bytes (\S+)$/m.exec(await node.get(10249, '/metrics'))?.[1]) / 1e6}`,
        )
        await node.removeSandbox(sandbox)
        await expectNothingLeft(node)
      }
    })
  },
  archive === undefined ? 'TEST_IMAGE, the image as docker save writes it' : undefined,
)
