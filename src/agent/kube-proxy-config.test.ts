import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { expect, onTestFinished, test } from 'vitest'
import { loadConfig } from './config.ts'

function load(
  content: string,
  flags: Readonly<Record<string, unknown>> = {},
  head = 'apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n',
) {
  const dir = mkdtempSync(`${tmpdir()}/fairlead-kube-proxy-`)
  onTestFinished(() => rmSync(dir, { recursive: true }))
  const file = `${dir}/config.conf`
  writeFileSync(file, head + content)
  const { warnings, ...config } = loadConfig({ flags: { kubeProxyConfig: file, ...flags }, environment: {} })
  return { config, warnings: warnings.map((warning) => warning.replaceAll(file, 'FILE')) }
}

test('what kubeadm writes is taken over without a word', () => {
  const { config, warnings } = load(`
bindAddress: 0.0.0.0
bindAddressHardFail: false
clientConnection: {acceptContentTypes: "", burst: 0, contentType: "", kubeconfig: /var/lib/kube-proxy/kubeconfig.conf, qps: 0}
clusterCIDR: 10.244.0.0/16
configSyncPeriod: 0s
conntrack: {maxPerCore: null, min: null, tcpBeLiberal: false, tcpCloseWaitTimeout: null, tcpEstablishedTimeout: null, udpStreamTimeout: 0s, udpTimeout: 0s}
detectLocal: {bridgeInterface: "", interfaceNamePrefix: ""}
detectLocalMode: ""
enableProfiling: false
healthzBindAddress: ""
hostnameOverride: ""
iptables: {localhostNodePorts: null, masqueradeAll: false, masqueradeBit: null, minSyncPeriod: 0s, syncPeriod: 0s}
ipvs: {excludeCIDRs: null, minSyncPeriod: 0s, scheduler: "", strictARP: false, syncPeriod: 0s}
logging: {flushFrequency: 0, options: {json: {infoBufferSize: "0"}}, verbosity: 0}
metricsBindAddress: ""
mode: ""
nftables: {masqueradeAll: false, masqueradeBit: null, minSyncPeriod: 0s, syncPeriod: 0s}
nodePortAddresses: null
oomScoreAdj: null
portRange: ""
showHiddenMetricsForVersion: ""
winkernel: {enableDSR: false, forwardHealthCheckVip: false, networkName: "", rootHnsEndpointName: "", sourceVip: ""}
`)
  expect(warnings).toEqual([])
  expect(config).toMatchObject({
    kubeconfig: '/var/lib/kube-proxy/kubeconfig.conf',
    clusterCIDR: [{ network: '10.244.0.0', prefix: 16 }],
    masqueradeAll: false,
    masqueradeBit: 14,
    detectLocal: 'auto',
    nodePortAddresses: 'all',
    healthAddress: '0.0.0.0:10256',
  })
})

test.each<[string, object]>([
  ['clusterCIDR: "10.244.0.0/16,fd00:1::/64"', { clusterCIDR: [{ family: 4 }, { family: 6 }] }],
  ['detectLocalMode: NodeCIDR', { detectLocal: 'nodeCIDR' }],
  ['detectLocalMode: BridgeInterface', { detectLocal: 'bridge' }],
  ['detectLocalMode: InterfaceNamePrefix\ndetectLocal: {interfaceNamePrefix: veth}', { detectLocalPrefix: 'veth' }],
  ['healthzBindAddress: 127.0.0.1:10256', { healthAddress: '127.0.0.1:10256' }],
  ['metricsBindAddress: 0.0.0.0:10249', { metricsAddress: '0.0.0.0:10249' }],
  ['hostnameOverride: " Node-1 "', { nodeName: 'node-1' }],
  [
    'iptables: {localhostNodePorts: false, masqueradeAll: true, masqueradeBit: 15}',
    { localhostNodePorts: false, masqueradeAll: true, masqueradeBit: 15 },
  ],
  ['nodePortAddresses: [primary]', { nodePortAddresses: 'primary' }],
  ['nodePortAddresses: [192.168.0.0/24]', { nodePortAddresses: [{ network: '192.168.0.0' }] }],
  ['mode: iptables', { serviceProxy: true }],
])('%s', (content, meant) => {
  const { config, warnings } = load(content)
  expect(config).toMatchObject(meant)
  expect(warnings).toEqual([])
})

test.each([
  ['mode: ipvs', '`mode` in FILE has no meaning here: rules are those of iptables mode, not of ipvs'],
  [
    'iptables: {minSyncPeriod: 10s}',
    '`iptables.minSyncPeriod` in FILE has no meaning here: the pause between syncs follows what the last one cost',
  ],
  [
    'conntrack: {maxPerCore: 65536}',
    "`conntrack.maxPerCore` in FILE has no meaning here: the node's connection tracking is left as it is: set the sysctls of net.netfilter",
  ],
  [
    'detectLocal: {bridgeInterface: br0}',
    "`detectLocal.bridgeInterface` in FILE has no meaning here: the bridge of pods is the agent's own: key `bridge`",
  ],
  ['ipvs: {scheduler: rr}', '`ipvs.scheduler` in FILE has no meaning here: rules are those of iptables mode'],
  [
    'featureGates: {NFTablesProxyMode: true}',
    '`featureGates.NFTablesProxyMode` in FILE has no meaning here: there are none of those features to switch',
  ],
  [
    'clientConection: {qps: 5}',
    '`clientConection.qps` in FILE has no meaning here: KubeProxyConfiguration v1alpha1 has no such field',
  ],
])('%s is warned of', (content, warning) => {
  expect(load(content).warnings).toEqual([warning])
})

test('what is said to Fairlead itself wins', () => {
  expect(load('iptables: {masqueradeBit: 15}', { masqueradeBit: '16' }).config.masqueradeBit).toBe(16)
})

test('another kind of file is refused, and a wrong value names its field', () => {
  expect(() => load('masqueradeBit: 3\n', {}, '')).toThrow(
    'to be a KubeProxyConfiguration of kubeproxy.config.k8s.io/v1alpha1, got `undefined undefined`',
  )
  expect(() => load('iptables: {masqueradeBit: 32}')).toThrow(
    /Expected `iptables\.masqueradeBit` in .* to be a whole number from 0 to 31, got `32`/,
  )
})
