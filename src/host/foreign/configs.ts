// CNI configurations of other networks: whose each is, and what its network is called, under which the plugins keep
// their state. Pure.
import { z } from 'zod'
import type { Owner } from './owners.ts'

export interface ForeignConfig {
  readonly owner: Owner
  readonly network: string
}

const plugin = z.object({ type: z.string(), bridge: z.string().nullish() })
const list = z.object({ name: z.string(), plugins: z.tuple([plugin], plugin) })
const single = plugin.extend({ name: z.string() })

/** Undefined for one of no network that we know, and for what is no configuration. */
export function foreignConfig(text: string): ForeignConfig | undefined {
  try {
    const json: unknown = JSON.parse(text)
    const { name: network, plugins } = list.safeParse(json).data ?? withList(single.parse(json))
    const owner = ownerOf(network, plugins[0])
    return owner === undefined ? undefined : { owner, network }
  } catch {
    return undefined
  }
}

/**
 * What the plugins keep is theirs also where the configuration is gone: the names that flannel's, kindnet's and
 * kube-router's come with.
 */
export const knownNetworks: readonly ForeignConfig[] = [
  { owner: 'flannel', network: 'cbr0' },
  { owner: 'flannel', network: 'cni0' },
  { owner: 'kindnet', network: 'kindnet' },
  { owner: 'kube-router', network: 'mynet' },
]

function withList({ name, ...first }: z.infer<typeof single>): z.infer<typeof list> {
  return { name, plugins: [first] }
}

function ownerOf(network: string, { type, bridge: named }: z.infer<typeof plugin>): Owner | undefined {
  const bridge = named ?? 'cni0'
  if (type === 'flannel') return 'flannel'
  if (type === 'cni-kindnet' || (type === 'ptp' && network === 'kindnet')) return 'kindnet'
  if (type !== 'bridge') return undefined
  return bridge === 'kube-bridge' ? 'kube-router' : bridge === 'cni0' ? 'plugins' : undefined
}
