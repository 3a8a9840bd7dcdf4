// A node for tests of the pod network: a namespace with a PodNetwork on it, and pods as namespaces beside it.
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Kernel } from '../../src/kernel/kernel.ts'
import { parseCidr } from '../../src/net/cidr.ts'
import { parseInterfaceName } from '../../src/net/interface-name.ts'
import type { Attachment } from '../../src/pods/attachment.ts'
import type { PodNetworkSettings } from '../../src/pods/node-state.ts'
import { PodNetwork, type PodNetworkOptions } from '../../src/pods/pod-network.ts'
import { type ScratchNamespace, scratchNamespace, testLog } from './scratch.ts'

export const nodeSettings: PodNetworkSettings = {
  nodeName: 'n1',
  podCidrs: [parseCidr('10.244.1.0/24')],
  mtu: 1450,
  bridge: parseInterfaceName('cni0'),
  localhostHostPorts: false,
  takeOver: false,
}

/** What the hooks were told, in order. */
export interface HookCalls {
  readonly hooks: PodNetworkOptions['hooks']
  readonly calls: string[]
}

export function recordHooks(): HookCalls {
  const calls: string[] = []
  const hook = (name: string) => ({
    add: async ({ containerId }: Attachment) => void calls.push(`${name} add ${containerId}`),
    remove: async (gone: readonly Attachment[]) =>
      void calls.push(`${name} remove ${gone.map(({ containerId }) => containerId).join(' ')}`),
  })
  return {
    hooks: {
      hostPorts: { ...hook('ports'), published: async () => new Map(), settled: Promise.resolve() },
      bandwidth: hook('bandwidth'),
      policy: { waitsFor: undefined, add: async () => undefined, remove: () => undefined },
    },
    calls,
  }
}

export interface PodNode extends AsyncDisposable {
  readonly namespace: ScratchNamespace
  readonly stateDir: string
  network: PodNetwork
  /** A PodNetwork over the same node and disk, as after a restart: not started yet. */
  agent(options?: Partial<PodNetworkOptions>): PodNetwork
}

/** @param kernelOf what the agent sees instead of the node's kernel */
export async function podNode(
  options: {
    settings?: Partial<PodNetworkSettings>
    kernelOf?: (kernel: Kernel) => Kernel
    iptables?: 'nft' | 'legacy'
  } & Partial<PodNetworkOptions> = {},
): Promise<PodNode> {
  const { settings, kernelOf = (kernel) => kernel, iptables, ...rest } = options
  const namespace = await scratchNamespace({ ...(iptables && { iptables }) })
  const stateDir = mkdtempSync(join(tmpdir(), 'fairlead-pods-'))
  const agent: PodNode['agent'] = (more = {}) =>
    new PodNetwork({
      kernel: kernelOf(namespace.kernel),
      stateDir,
      log: testLog,
      hooks: recordHooks().hooks,
      ...rest,
      ...more,
    })
  const network = agent()
  await network.start()
  await network.configure({ ...nodeSettings, ...settings })
  await network.reconcile()
  return {
    namespace,
    stateDir,
    network,
    agent,
    [Symbol.asyncDispose]: async () => {
      await namespace[Symbol.asyncDispose]()
      rmSync(stateDir, { recursive: true })
    },
  }
}

/** A kernel without br_netfilter, as far as the agent can see. */
export function withoutBridgeNetfilter(kernel: Kernel): Kernel {
  return new Proxy(kernel, {
    get: (target, name: keyof Kernel) => {
      if (name === 'readSysctl')
        return async (key: string) => (key.startsWith('net/bridge/') ? undefined : target.readSysctl(key))
      const value = target[name]
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

/** A new agent on the same node, as after kill -9. */
export async function restart(
  node: PodNode,
  options: Partial<PodNetworkOptions> = {},
  settings: Partial<PodNetworkSettings> = {},
): Promise<void> {
  node.network = node.agent(options)
  await node.network.start()
  await node.network.configure({ ...nodeSettings, ...settings })
  await node.network.reconcile()
}

export interface CniAnswer {
  readonly code: number
  /** The document; empty where CNI answers nothing. */
  readonly document: {
    msg?: string
    details?: string
    interfaces?: { name: string; mac?: string; mtu?: number; sandbox?: string }[]
    ips?: { address: string; gateway?: string; interface?: number }[]
    routes?: { dst: string; gw?: string }[]
  }
  readonly text: string
}

/** Sends what the CNI binary would send for this pod. */
export async function cni(
  network: PodNetwork,
  command: string,
  pod: { containerId: string; netns?: string; podInterface?: string },
  conf: Record<string, unknown> = {},
): Promise<CniAnswer> {
  const netns = pod.netns ?? ''
  const found = netns === '' ? undefined : statSync(netns, { throwIfNoEntry: false })
  const variables = {
    CNI_COMMAND: command,
    CNI_CONTAINERID: pod.containerId,
    CNI_NETNS: netns,
    CNI_IFNAME: pod.podInterface ?? 'eth0',
    CNI_PATH: '/opt/cni/bin',
    CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=${pod.containerId}`,
    ...(found && { FAIRLEAD_NETNS_ID: `${found.dev}:${found.ino}` }),
  }
  const head = Object.entries(variables).map(([name, value]) => `${name}=${value}\0`)
  const stdin = JSON.stringify({ cniVersion: '1.1.0', name: 'fairlead', type: 'fairlead-cni', ...conf })
  const { status, body } = await network.handle(Buffer.from(`${head.join('')}\0${stdin}`))
  const document = (body === '' ? {} : JSON.parse(body)) as CniAnswer['document'] & { code?: number }
  return { code: status === 200 ? 0 : (document.code ?? -1), document, text: body }
}
