// The Services of the tour and the pods behind them.
import { type NodeName, outsidePort, underlay } from '../layout.ts'
import type { Tour } from './tour.ts'

/** An address in spec.externalIPs. The tour adds a route to it on the outside client, as an administrator would. */
export const externalIp = '192.168.0.230'
/** A source range that contains no client of the lab. */
const nobody = '203.0.113.0/24'

/** Creates all Services concurrently. */
export async function createTourServices(tour: Tour): Promise<void> {
  const tcp = { port: 80, targetPort: 8080 }
  const named = [
    { name: 'http', port: 80, targetPort: 'web' },
    { name: 'admin', port: 81, targetPort: 'adm' },
  ]
  const services: Readonly<Record<string, object>> = {
    web: { type: 'NodePort', selector: { app: 'web' }, ports: [tcp], externalIPs: [externalIp] },
    empty: { type: 'NodePort', selector: { app: 'nobody' }, ports: [tcp] },
    sticky: {
      selector: { app: 'web' },
      ports: [tcp],
      sessionAffinity: 'ClientIP',
      sessionAffinityConfig: { clientIP: { timeoutSeconds: 1 } },
    },
    local: { type: 'NodePort', selector: { place: 'node2' }, ports: [tcp], externalTrafficPolicy: 'Local' },
    named: { selector: { app: 'named' }, ports: named },
    udp: { selector: { app: 'udp' }, ports: [{ port: 53, targetPort: 8080, protocol: 'UDP' }] },
    draining: { selector: { app: 'draining' }, ports: [tcp] },
    database: { ports: [{ port: 5432 }] },
    open: {
      type: 'LoadBalancer',
      selector: { app: 'web' },
      ports: [tcp],
      loadBalancerSourceRanges: [`${underlay.outside}/32`],
    },
    closed: { type: 'LoadBalancer', selector: { app: 'web' }, ports: [tcp], loadBalancerSourceRanges: [nobody] },
  }
  const slice = { addressType: 'IPv4', ports: [{ port: outsidePort }], endpoints: [{ addresses: [underlay.outside] }] }
  await Promise.all([
    ...Object.entries(services).map(
      async ([name, spec]) => await tour.create({ apiVersion: 'v1', kind: 'Service', metadata: { name }, spec }),
    ),
    tour.create({
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name: 'database-outside', labels: { 'kubernetes.io/service-name': 'database' } },
      ...slice,
    }),
  ])
}

/** Creates the pods that only these steps need. The endpoints of `web` are pods of the pod network's steps. */
export async function createServicePods(tour: Tour): Promise<void> {
  const ports = (web: number, adm: number) => [
    { name: 'web', containerPort: web },
    { name: 'adm', containerPort: adm },
  ]
  const lingering = { lifecycle: { preStop: { sleep: { seconds: 1 } } } }
  const pods: readonly [name: string, node: NodeName, labels: Record<string, string>, container: object][] = [
    ['tour-named-1', 'node1', { app: 'named' }, { ports: ports(8080, 9090) }],
    ['tour-named-2', 'node2', { app: 'named' }, { ports: ports(8081, 9091) }],
    ['tour-udp-1', 'node1', { app: 'udp' }, {}],
    ['tour-udp-2', 'node2', { app: 'udp' }, {}],
    ['tour-draining', 'node2', { app: 'draining' }, lingering],
  ]
  await Promise.all(
    pods.map(
      async ([name, node, labels, container]) =>
        await tour.createPod(name, node, { labels, containers: [{ name: 'echo', ...container }] }),
    ),
  )
}
