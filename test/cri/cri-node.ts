// A node under a kubelet that speaks CRI: what it does to the runtime for a pod, and what is there afterwards.
import { randomUUID } from 'node:crypto'
import { execa } from 'execa'
import { expect } from 'vitest'
import { type Lab, labNamed, type NodeName } from '../../src/lab/layout.ts'
import { inNode } from '../../src/lab/nodes.ts'
import { Containerd } from './containerd.ts'
import type { ContainerConfig, CriClient, SandboxConfig } from './cri-client.ts'
import { podImage } from './pod-image.ts'

/** What a pod's container listens on. */
export const podPort = 8080

export interface Pod {
  readonly config: SandboxConfig
  readonly sandbox: string
  readonly container: string
  readonly address: string
}

export class CriNode {
  readonly name: NodeName
  readonly containerd: Containerd
  readonly #lab: Lab

  constructor(lab: string, name: NodeName) {
    this.name = name
    this.#lab = labNamed(lab)
    this.containerd = new Containerd(this.#lab, name)
  }

  get cri(): CriClient {
    return this.containerd.cri
  }

  /** A pod's sandbox as kubelet describes it; a new attempt is a new sandbox of the same pod. */
  sandboxConfig(name: string, more: Partial<SandboxConfig> = {}): SandboxConfig {
    return {
      metadata: { name, uid: randomUUID(), namespace: 'default', attempt: 0 },
      hostname: name,
      logDirectory: '',
      portMappings: [],
      annotations: {},
      linux: { cgroupParent: `/${cgroupOf(this.#lab.name)}` },
      ...more,
    }
  }

  /** RunPodSandbox, and PodSandboxStatus for its address. */
  async runSandbox(config: SandboxConfig): Promise<{ sandbox: string; address: string }> {
    const { podSandboxId: sandbox } = await this.cri.call('RunPodSandbox', { config })
    return { sandbox, address: await this.addressOf(sandbox) }
  }

  /** A container of the sandbox, created and started. Answers its id. */
  async startContainer(sandbox: string, sandboxConfig: SandboxConfig, config: ContainerConfig): Promise<string> {
    const { containerId } = await this.cri.call('CreateContainer', { podSandboxId: sandbox, config, sandboxConfig })
    await this.cri.call('StartContainer', { containerId })
    return containerId
  }

  /** The sandbox with one container that serves on {@link podPort}. */
  async runPod(config: SandboxConfig): Promise<Pod> {
    const { sandbox, address } = await this.runSandbox(config)
    const container = await this.startContainer(sandbox, config, {
      metadata: { name: 'serve', attempt: config.metadata.attempt },
      image: { image: podImage },
      args: ['serve', String(podPort)],
    })
    return { config, sandbox, container, address }
  }

  async removeSandbox(podSandboxId: string): Promise<void> {
    await this.cri.call('StopPodSandbox', { podSandboxId })
    await this.cri.call('RemovePodSandbox', { podSandboxId })
  }

  /** "" once it has none any more. */
  async addressOf(podSandboxId: string): Promise<string> {
    return (await this.cri.call('PodSandboxStatus', { podSandboxId })).status.network?.ip ?? ''
  }

  /** The process that holds the sandbox, as the node counts, and the path of its network namespace. */
  async insideOf(podSandboxId: string): Promise<{ pid: number; netns: string }> {
    const { info } = await this.cri.call('PodSandboxStatus', { podSandboxId, verbose: true })
    const { pid, runtimeSpec } = JSON.parse(info['info'] ?? '{}') as {
      pid: number
      runtimeSpec: { linux: { namespaces: { type: string; path?: string }[] } }
    }
    return { pid, netns: runtimeSpec.linux.namespaces.find(({ type }) => type === 'network')?.path ?? '' }
  }

  /**
   * What the pod hears when it asks there: "HOSTNAME ADDRESS", who answered and whom that one saw; or why there was no
   * answer.
   */
  async ask({ container }: Pod, address: string, port = podPort): Promise<string> {
    const { exitCode, stdout, stderr } = await this.cri.call('ExecSync', {
      containerId: container,
      cmd: ['/pod', 'ask', address, String(port)],
      timeout: 10,
    })
    return exitCode === 0 ? stdout.toString().trim() : `no answer: ${stderr.toString().trim()}`
  }

  /** kubelet's NetworkReady condition. */
  async networkReady(): Promise<{ status: boolean; message: string }> {
    const { conditions } = (await this.cri.call('Status', {})).status
    const { status, message } = conditions.find(({ type }) => type === 'NetworkReady')!
    return { status, message }
  }

  /** The command inside the node, whatever its exit code. */
  async run(
    command: readonly string[],
    { input = '', env = {} }: { input?: string; env?: Readonly<Record<string, string>> } = {},
  ): Promise<{ exitCode: number | undefined; stdout: string; stderr: string }> {
    const [file = '', ...args] = inNode(this.#lab, this.name, command)
    const { exitCode, stdout, stderr } = await execa(file, args, { input, env, reject: false })
    return { exitCode, stdout, stderr }
  }

  /** Its stdout. @throws {Error} when it fails. */
  async succeed(script: string): Promise<string> {
    const { exitCode, stdout, stderr } = await this.run(['sh', '-euc', script])
    if (exitCode !== 0) throw new Error(`on ${this.name}: ${script}: ${stderr}`)
    return stdout
  }

  /** What the node's agent answers to a GET on its port of that number. */
  async get(port: number, path: string): Promise<string> {
    return (await this.run(['socat', '-', `TCP:127.0.0.1:${port}`], { input: `GET ${path} HTTP/1.0\r\n\r\n` })).stdout
  }

  /** How many requests of that kind the node's agent has answered with success. */
  async answered(command: 'ADD' | 'DEL'): Promise<number> {
    return Number(
      new RegExp(`^fairlead_cni_request_seconds_count\\{command="${command}",code="0"\\} (\\d+)$`, 'm').exec(
        await this.get(10249, '/metrics'),
      )?.[1] ?? 0,
    )
  }

  /**
   * All that pods leave on a node until they are removed: namespaces, attachments, veths, rate limiters, host ports;
   * each a line.
   */
  async leftovers(): Promise<string[]> {
    const printed = await this.succeed(`
      ls /run/netns
      find /run/fairlead/attachments -type f
      ip -o -br link | grep -E '^(veth|ifb)' || true
      iptables -t nat -S FAIRLEAD-HOSTPORT-DNAT 2>/dev/null | grep DNAT.*-j || true
    `)
    return printed.split('\n').filter(Boolean)
  }
}

/** Veths go in groups, up to a second after the DEL that let them go. */
export async function expectNothingLeft(node: CriNode): Promise<void> {
  await expect.poll(() => node.leftovers(), { timeout: 60_000 }).toEqual([])
}

/** The control group that holds all containers of a lab's nodes. */
export function cgroupOf(lab: string): string {
  return `fairlead-${lab}`
}
