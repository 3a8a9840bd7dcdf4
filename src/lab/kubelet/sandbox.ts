// The network namespace of a pod: creation and CNI ADD, CNI DEL and removal, in the order and with the arguments of
// containerd.
import { randomBytes, randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { execa } from 'execa'
import * as z from 'zod'
import { type NetworkConfig, requestConfig, runtimeConfigOf, searchesOf } from './cni-config.ts'
import { callPlugin } from './cni-plugin.ts'
import type { PodManifest } from './pod-manifest.ts'

export interface Sandbox {
  /** 64 hex digits, new for each attempt. */
  readonly id: string
  /** The name of the namespace on the node: `ip netns exec NETNS ...`. */
  readonly netns: string
  readonly addresses: readonly string[]
  /** The last plugin's result, which DEL gets as prevResult. */
  readonly result: unknown
}

const loopback: NetworkConfig = {
  cniVersion: '0.3.1',
  name: 'cni-loopback',
  plugins: [{ type: 'loopback', capabilities: {} }],
}
const podInterface = 'eth0'
const resultSchema = z.object({
  interfaces: z.array(z.object({ name: z.string(), sandbox: z.string().optional() })).default([]),
  ips: z.array(z.object({ address: z.string(), interface: z.number().optional() })).default([]),
})

/**
 * Creates the namespace and calls the plugins.
 * @throws {Error} when an ADD failed. Everything is undone; the next attempt uses another id.
 */
export async function createSandbox(pod: PodManifest, config: NetworkConfig, dns: string): Promise<Sandbox> {
  const id = randomBytes(32).toString('hex')
  const netns = `cni-${randomUUID()}`
  await writeResolvConf(netns, pod, dns)
  await execa('ip', ['netns', 'add', netns])
  const sandbox = { id, netns }
  try {
    // Like containerd, attach both networks concurrently and wait for both before checking either.
    const [lo, eth0] = await Promise.allSettled([
      add(sandbox, pod, { config: loopback, interface: 'lo' }),
      add(sandbox, pod, { config, interface: podInterface, runtimeConfig: runtimeConfigOf(pod, dns) }),
    ])
    if (lo.status === 'rejected') throw lo.reason
    if (eth0.status === 'rejected') throw eth0.reason
    return { ...sandbox, addresses: addressesOf(eth0.value), result: eth0.value }
  } catch (error) {
    await removeSandbox({ ...sandbox, addresses: [], result: undefined }, pod, config)
    throw error
  }
}

/**
 * Calls DEL with the current configuration, then removes the namespace.
 * @throws {CniPluginError} when a DEL failed. The namespace is kept for the next attempt.
 */
export async function removeSandbox(sandbox: Sandbox, pod: PodManifest, config: NetworkConfig): Promise<void> {
  for (const plugin of config.plugins.toReversed()) {
    const stdin = requestConfig(config, plugin, { runtimeConfig: runtimeConfigOf(pod, ''), prevResult: sandbox.result })
    await callPlugin({ command: 'DEL', type: plugin.type, stdin, container: containerOf(sandbox, pod, podInterface) })
  }
  await removeNamespace(sandbox.netns)
}

export async function removeNamespace(netns: string): Promise<void> {
  if (existsSync(`/run/netns/${netns}`)) await execa('ip', ['netns', 'delete', netns])
  await rm(`/etc/netns/${netns}`, { recursive: true, force: true })
}

async function add(
  sandbox: { id: string; netns: string },
  pod: PodManifest,
  network: { config: NetworkConfig; interface: string; runtimeConfig?: Record<string, unknown> },
): Promise<unknown> {
  let prevResult: unknown
  for (const plugin of network.config.plugins) {
    const stdin = requestConfig(network.config, plugin, {
      ...(network.runtimeConfig === undefined ? {} : { runtimeConfig: network.runtimeConfig }),
      prevResult,
    })
    prevResult = await callPlugin({
      command: 'ADD',
      type: plugin.type,
      stdin,
      container: containerOf(sandbox, pod, network.interface),
    })
  }
  return prevResult
}

function containerOf(
  sandbox: { id: string; netns: string },
  pod: PodManifest,
  name: string,
): { id: string; netns: string; interface: string; args: string } {
  const args = {
    IgnoreUnknown: '1',
    K8S_POD_NAMESPACE: pod.namespace,
    K8S_POD_NAME: pod.name,
    K8S_POD_INFRA_CONTAINER_ID: sandbox.id,
    K8S_POD_UID: pod.uid,
  }
  const path = `/var/run/netns/${sandbox.netns}`
  // When the namespace is gone, CNI_NETNS is empty.
  return {
    id: sandbox.id,
    netns: existsSync(path) ? path : '',
    interface: name,
    args: Object.entries(args)
      .map(([key, value]) => `${key}=${value}`)
      .join(';'),
  }
}

/**
 * Returns the pod's own addresses, without prefix lengths.
 * @throws {Error} like containerd, when the interface has none.
 */
function addressesOf(result: unknown): string[] {
  const { interfaces, ips } = resultSchema.parse(result)
  const own = ips.filter((ip) => ip.interface === undefined || interfaces[ip.interface]?.name === podInterface)
  if (own.length === 0)
    throw new Error(`failed to find network info for sandbox: ${podInterface} has no address in the CNI result`)
  return own.map(({ address }) => address.replace(/\/.*/, ''))
}

/** `ip netns exec` binds this file over /etc/resolv.conf. */
async function writeResolvConf(netns: string, pod: PodManifest, dns: string): Promise<void> {
  await mkdir(`/etc/netns/${netns}`, { recursive: true })
  await writeFile(
    `/etc/netns/${netns}/resolv.conf`,
    `search ${searchesOf(pod.namespace).join(' ')}\nnameserver ${dns}\noptions ndots:5\n`,
  )
}
