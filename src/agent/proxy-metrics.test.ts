import { expect, test } from 'vitest'
import { Metrics } from '../runtime/metrics.ts'
import { ProxyMetrics } from './proxy-metrics.ts'

async function scrape(use: (metrics: ProxyMetrics) => void): Promise<string> {
  const metrics = new Metrics()
  const proxy = new ProxyMetrics(metrics)
  proxy.publish({
    pending: () => ({ services: 1, endpoints: 2 }),
    rules: () => [{ family: 4, rules: { nat: 40 }, auditPeriod: 25_000 }],
    localGaps: () => [{ family: 4, internal: 1, external: 0 }],
    connections: () => [
      {
        chain: 'KUBE-SVL-A',
        port: { family: 4, namespace: 'ns', name: 'web', portName: 'http', protocol: 'tcp' },
        connections: 7,
      },
    ],
  })
  use(proxy)
  return await metrics.registry.metrics()
}

test("what kube-proxy's dashboards ask for is there under kube-proxy's names", async () => {
  const text = await scrape(() => undefined)
  const names = [...text.matchAll(/^# TYPE kubeproxy_(\S+) (\S+)$/gm)]
    .map(([, name, type]) => `${name} ${type}`)
    .toSorted()
  expect(names).toEqual([
    'conntrack_reconciler_deleted_entries_total counter',
    'conntrack_reconciler_sync_duration_seconds histogram',
    'network_programming_duration_seconds histogram',
    'proxy_healthz_total counter',
    'proxy_livez_total counter',
    'sync_full_proxy_rules_duration_seconds histogram',
    'sync_partial_proxy_rules_duration_seconds histogram',
    'sync_proxy_rules_duration_seconds histogram',
    'sync_proxy_rules_endpoint_changes_pending gauge',
    'sync_proxy_rules_endpoint_changes_total counter',
    'sync_proxy_rules_iptables_last gauge',
    'sync_proxy_rules_iptables_partial_restore_failures_total counter',
    'sync_proxy_rules_iptables_restore_failures_total counter',
    'sync_proxy_rules_iptables_total gauge',
    'sync_proxy_rules_last_queued_timestamp_seconds gauge',
    'sync_proxy_rules_last_timestamp_seconds gauge',
    'sync_proxy_rules_no_local_endpoints_total gauge',
    'sync_proxy_rules_service_changes_pending gauge',
    'sync_proxy_rules_service_changes_total counter',
  ])
})

test('a sync, a failure and an answer are told with their labels', async () => {
  const text = await scrape((metrics) => {
    metrics.synced({ family: 4, kind: 'partial', seconds: 0.003, rules: { nat: 3 } }, 5000)
    metrics.restoreFailed(6, 'partial')
    metrics.programmed(4, 0.3)
    metrics.answered('healthz', 503)
  })
  for (const line of [
    'kubeproxy_sync_proxy_rules_duration_seconds_bucket{le="0.004",ip_family="IPv4"} 1',
    'kubeproxy_sync_partial_proxy_rules_duration_seconds_count{ip_family="IPv4"} 1',
    'kubeproxy_sync_proxy_rules_last_timestamp_seconds{ip_family="IPv4"} 5',
    'kubeproxy_sync_proxy_rules_iptables_last{table="nat",ip_family="IPv4"} 3',
    'kubeproxy_sync_proxy_rules_iptables_total{table="nat",ip_family="IPv4"} 40',
    'kubeproxy_sync_proxy_rules_no_local_endpoints_total{traffic_policy="internal",ip_family="IPv4"} 1',
    'kubeproxy_sync_proxy_rules_iptables_partial_restore_failures_total{ip_family="IPv6"} 1',
    'kubeproxy_network_programming_duration_seconds_bucket{le="0",ip_family="IPv4"} 0',
    'kubeproxy_network_programming_duration_seconds_bucket{le="0.5",ip_family="IPv4"} 1',
    'kubeproxy_proxy_healthz_total{code="503"} 1',
    'kubeproxy_sync_proxy_rules_endpoint_changes_pending 2',
    'fairlead_service_audit_seconds{ip_family="IPv4"} 25',
    'fairlead_service_connections_total{namespace="ns",service="web",port="http",protocol="tcp",ip_family="IPv4",policy="Local"} 7',
  ])
    expect(text.split('\n')).toContain(line)
  expect(text).not.toContain('sync_full_proxy_rules_duration_seconds_count')
})
