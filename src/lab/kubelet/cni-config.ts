// Reads the CNI configuration and builds requests like a runtime (CNI spec 1.1.0 section 1, libcni, containerd's
// go-cni).
import * as z from 'zod'
import type { PodManifest } from './pod-manifest.ts'

const schema = z.object({
  cniVersion: z.string(),
  cniVersions: z.array(z.string()).default([]),
  name: z.string(),
  plugins: z
    .array(z.looseObject({ type: z.string(), capabilities: z.record(z.string(), z.boolean()).default({}) }))
    .min(1),
})

export interface NetworkConfig {
  /** The version of requests: the highest that the list offers and this runtime supports. */
  readonly cniVersion: string
  readonly name: string
  readonly plugins: readonly Plugin[]
}

type Plugin = z.infer<typeof schema>['plugins'][number]

const newestVersion = '1.1.0'

/** Returns the file that a runtime loads from a directory: the first by name, whatever it contains. */
export function chooseConfigFile(names: readonly string[]): string | undefined {
  return names.filter((name) => /\.(conf|conflist|json)$/.test(name)).toSorted((a, b) => (a < b ? -1 : 1))[0]
}

/** @throws {Error} when the text is not a conflist. */
export function parseNetworkConfig(text: string): NetworkConfig {
  const list = schema.parse(JSON.parse(text))
  const versions = [list.cniVersion, ...list.cniVersions].filter(
    (version) => compareVersions(version, newestVersion) <= 0,
  )
  return {
    cniVersion: versions.toSorted(compareVersions).at(-1) ?? list.cniVersion,
    name: list.name,
    plugins: list.plugins,
  }
}

export function compareVersions(a: string, b: string): number {
  const [left, right] = [a, b].map((version) => version.split('.').map(Number))
  return [0, 1, 2].map((i) => (left?.[i] ?? 0) - (right?.[i] ?? 0)).find((difference) => difference !== 0) ?? 0
}

/** Builds a plugin's stdin: its object, the list's name and version, and the runtime values it has capabilities for. */
export function requestConfig(
  config: NetworkConfig,
  plugin: Plugin,
  extra: { runtimeConfig?: Readonly<Record<string, unknown>>; prevResult?: unknown } = {},
): object {
  const wanted = Object.entries(extra.runtimeConfig ?? {}).filter(
    ([capability]) => plugin.capabilities[capability] === true,
  )
  return {
    ...plugin,
    name: config.name,
    cniVersion: config.cniVersion,
    ...(wanted.length === 0 ? {} : { runtimeConfig: Object.fromEntries(wanted) }),
    ...(extra.prevResult === undefined ? {} : { prevResult: extra.prevResult }),
  }
}

/** Returns what containerd passes to plugins. Its Go structs have no JSON names, hence the capital letters. */
export function runtimeConfigOf(pod: PodManifest, dns: string): Record<string, unknown> {
  const hostPorts = pod.containers.flatMap(({ ports }) =>
    ports.filter(({ hostPort }) => hostPort !== undefined && hostPort > 0),
  )
  const [ingress, egress] = ['ingress', 'egress'].map((direction) =>
    bitsOf(pod.annotations[`kubernetes.io/${direction}-bandwidth`]),
  )
  return {
    ...(hostPorts.length === 0
      ? {}
      : {
          portMappings: hostPorts.map((port) => ({
            HostPort: port.hostPort,
            ContainerPort: port.containerPort,
            Protocol: port.protocol.toLowerCase(),
            HostIP: port.hostIP,
          })),
        }),
    ...(ingress === undefined && egress === undefined
      ? {}
      : { bandwidth: { ...rateOf('Ingress', ingress), ...rateOf('Egress', egress) } }),
    dns: { Servers: [dns], Searches: searchesOf(pod.namespace), Options: ['ndots:5'] },
    'io.kubernetes.cri.pod-annotations': pod.annotations,
  }
}

export function searchesOf(namespace: string): string[] {
  return [`${namespace}.svc.cluster.local`, 'svc.cluster.local', 'cluster.local']
}

function rateOf(direction: 'Ingress' | 'Egress', rate: number | undefined): Record<string, number> {
  // containerd sets the burst to the largest 32-bit number, which is practically no limit.
  return rate === undefined ? {} : { [`${direction}Rate`]: rate, [`${direction}Burst`]: 2 ** 32 - 1 }
}

/** Parses a Kubernetes quantity to bit/s: "10M", "512k", "1Gi". */
function bitsOf(quantity: string | undefined): number | undefined {
  const [, number, suffix = ''] = /^(\d+(?:\.\d+)?)(k|M|G|T|Ki|Mi|Gi|Ti)?$/.exec(quantity ?? '') ?? []
  if (number === undefined) return undefined
  return Math.round(
    Number(number) *
      (suffix.endsWith('i') ? 1024 : 1000) ** ['', 'k', 'M', 'G', 'T'].indexOf(suffix.charAt(0).replace('K', 'k')),
  )
}
