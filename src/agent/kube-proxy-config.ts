// A KubeProxyConfiguration (kubeproxy.config.k8s.io/v1alpha1), read for what it means here, so that a node can be taken
// over with the file it has. Every field that says something and has no meaning here is named, with the reason. Fields
// at their zero value say nothing: kubeadm writes all of them.
import type { ConfigKey } from './config-keys.ts'
import type { Setting } from './config-setting.ts'

/**
 * By the field's path: which key it is, and what the key is to be told; undefined where there is nothing to tell it.
 */
const meanings: Readonly<Record<string, readonly [ConfigKey, (value: unknown) => unknown]>> = {
  'clientConnection.kubeconfig': ['kubeconfig', asIs],
  clusterCIDR: ['clusterCIDR', asIs],
  detectLocalMode: ['detectLocal', (mode) => detectLocalModes[String(mode)]],
  'detectLocal.interfaceNamePrefix': ['detectLocalPrefix', asIs],
  healthzBindAddress: ['healthAddress', asIs],
  metricsBindAddress: ['metricsAddress', asIs],
  hostnameOverride: ['nodeName', (name) => String(name).trim().toLowerCase()],
  'iptables.localhostNodePorts': ['localhostNodePorts', asIs],
  'iptables.masqueradeAll': ['masqueradeAll', asIs],
  'iptables.masqueradeBit': ['masqueradeBit', asIs],
  nodePortAddresses: [
    'nodePortAddresses',
    (addresses) =>
      Array.isArray(addresses) && addresses.length === 1 && addresses[0] === 'primary' ? 'primary' : addresses,
  ],
}

/** The prefix has a key of its own. */
const detectLocalModes: Readonly<Record<string, string>> = {
  ClusterCIDR: 'clusterCIDR',
  NodeCIDR: 'nodeCIDR',
  BridgeInterface: 'bridge',
}

/** Fields, or whole sections, that mean nothing here, and why. */
const meaningless: Readonly<Record<string, string>> = {
  bindAddress: 'nothing is bound to it: health and metrics have addresses of their own',
  bindAddressHardFail: 'an address that cannot be bound always ends the agent',
  clientConnection: 'the API server is watched, and hardly ever asked',
  configSyncPeriod: 'watches are never repeated without need',
  conntrack: "the node's connection tracking is left as it is: set the sysctls of net.netfilter",
  'detectLocal.bridgeInterface': "the bridge of pods is the agent's own: key `bridge`",
  enableContentionProfiling: 'there is no profiling server',
  enableProfiling: 'there is no profiling server',
  featureGates: 'there are none of those features to switch',
  'iptables.minSyncPeriod': 'the pause between syncs follows what the last one cost',
  'iptables.syncPeriod': 'what failed is tried again within seconds, and rules are audited all the time',
  ipvs: 'rules are those of iptables mode',
  logging: 'see key `logLevel`',
  nftables: 'rules are those of iptables mode',
  oomScoreAdj: "the score is the container's: set it in the pod",
  portRange: 'no port is opened for a node port',
  showHiddenMetricsForVersion: 'no metric is hidden',
  udpIdleTimeout: 'it has had no effect since userspace mode went',
  windowsRunAsService: 'this is Linux',
  winkernel: 'this is Linux',
}

export function isKubeProxyConfig(content: Readonly<Record<string, unknown>>): boolean {
  return content['kind'] === 'KubeProxyConfiguration' && content['apiVersion'] === 'kubeproxy.config.k8s.io/v1alpha1'
}

/** @param content of a file that is one. Values are read by the keys' own schemas later. */
export function kubeProxySettings(
  content: Readonly<Record<string, unknown>>,
  file: string,
): { settings: readonly Setting[]; warnings: readonly string[] } {
  const settings: Setting[] = []
  const warnings: string[] = []
  for (const [field, value] of fieldsOf(content)) {
    if (field === 'apiVersion' || field === 'kind') continue
    const meaning = meanings[field]
    if (meaning !== undefined) {
      const [key, told] = meaning
      const said = isUnset(value) ? undefined : told(value)
      if (said !== undefined) settings.push({ key, value: said, source: `\`${field}\` in ${file}` })
    } else if (saysSomething(field, value)) {
      warnings.push(`\`${field}\` in ${file} has no meaning here: ${reasonFor(field, value)}`)
    }
  }
  return { settings, warnings }
}

/** Leaves with their paths: "iptables.masqueradeBit". Lists are leaves. */
function fieldsOf(object: object, path = ''): [field: string, value: unknown][] {
  return Object.entries(object).flatMap(([name, value]: [string, unknown]) =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? fieldsOf(value, `${path}${name}.`)
      : [[`${path}${name}`, value]],
  )
}

function isUnset(value: unknown): boolean {
  return value === null || value === '' || (Array.isArray(value) && value.length === 0)
}

/** "" and "iptables" are what we do; 0.0.0.0 is what kubeadm writes for nothing. */
const defaults: Readonly<Record<string, readonly unknown[]>> = { mode: ['iptables'], bindAddress: ['0.0.0.0', '::'] }

const zeros: ReadonlySet<unknown> = new Set([false, 0, '0', '0s'])

function saysSomething(field: string, value: unknown): boolean {
  return !isUnset(value) && !zeros.has(value) && !(defaults[field] ?? []).includes(value)
}

function reasonFor(field: string, value: unknown): string {
  if (field === 'mode') return `rules are those of iptables mode, not of ${String(value)}`
  const [section = ''] = field.split('.')
  return meaningless[field] ?? meaningless[section] ?? 'KubeProxyConfiguration v1alpha1 has no such field'
}

function asIs(value: unknown): unknown {
  return value
}
