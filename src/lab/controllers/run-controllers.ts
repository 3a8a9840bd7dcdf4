// The lab's controllers, each an ordinary client of the API: snapshots from reflectors, one loop each that looks at all
// of it again whenever something changed. They share the snapshots and never talk to each other, so that any of them
// also works beside a real control plane.
import { isDeepStrictEqual } from 'node:util'
import { systemClock } from '../../runtime/clock.ts'
import { Loop } from '../../runtime/loop.ts'
import type { ApiConnection } from '../../cluster/api-connection.ts'
import { Reflector } from '../../cluster/reflector.ts'
import { parseCidr } from '../../net/cidr.ts'
import { EventRecorder } from '../event-recorder.ts'
import type { ControllerLog } from './attempt.ts'
import { type DeploymentView, projectDeployment } from './deployment-view.ts'
import { Deployments } from './deployments.ts'
import { NamespaceEnds } from './namespace-ends.ts'
import { type NamespaceView, projectNamespace } from './namespace-view.ts'
import { NodeAddresses } from './node-addresses.ts'
import { EndpointSlices } from './endpoint-slices.ts'
import { projectSlice, type SliceView } from './endpoint-slice-view.ts'
import { announcements, type Announcements } from './load-balancer-routes.ts'
import { LoadBalancers } from './load-balancers.ts'
import { type NodeView, projectNode } from './node-view.ts'
import { PodGarbage } from './pod-garbage.ts'
import { type PodView, projectPod } from './pod-view.ts'
import { Scheduler } from './scheduler.ts'
import { projectService, type ServiceView } from './service-view.ts'

export interface ControllersOptions {
  readonly api: ApiConnection
  /** Where podCIDRs come from; with dual-stack two, divided by a comma, the main family first. */
  readonly clusterCidr: string
  /**
   * Whether namespaces are ours to empty: the lab's own API server does it by itself, a real one leaves it to the
   * controllers.
   */
  readonly endNamespaces: boolean
  /** What Services of type LoadBalancer get their addresses from. */
  readonly loadBalancerPool: readonly string[]
  /**
   * Told which nodes the world beyond the cluster may reach each of those addresses through, whenever that has changed.
   */
  readonly announce: (routes: Announcements) => Promise<void>
  readonly log: ControllerLog
  readonly signal: AbortSignal
}

/** ms after which everything is looked at again although nothing changed: what was refused is tried again then. */
const intervalMs = 5000

/** Resolves after the signal. @throws {TypeError} at once when the cluster's range is no CIDR. */
export async function runControllers(options: ControllersOptions): Promise<void> {
  const { api, log, signal } = options
  const clusterCidrs = options.clusterCidr.split(',').map((text) => parseCidr(text))
  const common = { api, equals: (a: unknown, b: unknown) => isDeepStrictEqual(a, b), log }
  const nodes = new Reflector<NodeView>({ ...common, path: '/api/v1/nodes', project: projectNode })
  const pods = new Reflector<PodView>({ ...common, path: '/api/v1/pods', project: projectPod })
  const deployments = new Reflector<DeploymentView>({
    ...common,
    path: '/apis/apps/v1/deployments',
    project: projectDeployment,
  })
  const namespaces = new Reflector<NamespaceView>({ ...common, path: '/api/v1/namespaces', project: projectNamespace })
  const services = new Reflector<ServiceView>({ ...common, path: '/api/v1/services', project: projectService })
  const slices = new Reflector<SliceView>({
    ...common,
    path: '/apis/discovery.k8s.io/v1/endpointslices',
    project: projectSlice,
  })

  const nodeAddresses = new NodeAddresses({ api, clusterCidrs, log })
  const scheduler = new Scheduler({ api, events: new EventRecorder({ api, component: 'default-scheduler', log }), log })
  const rollouts = new Deployments({
    api,
    events: new EventRecorder({ api, component: 'deployment-controller', log }),
    log,
  })
  const garbage = new PodGarbage({ api, log })
  const namespaceEnds = new NamespaceEnds({ api, log })
  const endpoints = new EndpointSlices({ api, log })
  const loadBalancers = new LoadBalancers({ api, pool: options.loadBalancerPool, log })
  const controllers: readonly Controller[] = [
    { name: 'node addresses', sources: [nodes], pass: () => nodeAddresses.pass(nodes.snapshot) },
    { name: 'scheduler', sources: [nodes, pods], pass: () => scheduler.pass(nodes.snapshot, pods.snapshot) },
    {
      name: 'deployments',
      sources: [deployments, pods],
      pass: () => rollouts.pass(deployments.snapshot, pods.snapshot),
    },
    { name: 'pod garbage', sources: [nodes, pods], pass: () => garbage.pass(nodes.snapshot, pods.snapshot) },
    // Pods are what a namespace waits for.
    {
      name: 'namespace ends',
      sources: [namespaces, pods],
      pass: async () => (options.endNamespaces ? await namespaceEnds.pass(namespaces.snapshot) : undefined),
    },
    {
      name: 'endpoint slices',
      sources: [services, pods, nodes, slices],
      pass: () =>
        endpoints.pass({
          services: services.snapshot,
          pods: pods.snapshot,
          nodes: nodes.snapshot,
          slices: slices.snapshot,
        }),
    },
    { name: 'load balancers', sources: [services], pass: () => loadBalancers.pass(services.snapshot) },
    {
      name: 'load balancer routes',
      sources: [services, nodes, slices],
      pass: () => options.announce(announcements(services.snapshot, nodes.snapshot, slices.snapshot)),
    },
  ]
  const reflectors = [nodes, pods, deployments, namespaces, services, slices].map((reflector) => reflector.run(signal))
  await Promise.all([...reflectors, ...controllers.map((controller) => runController(controller, log, signal))])
}

interface Controller {
  readonly name: string
  readonly sources: readonly Source[]
  readonly pass: () => Promise<void>
}

type Source = Pick<Reflector<unknown>, 'onChange' | 'synced'>

async function runController(
  { name, sources, pass }: Controller,
  log: ControllerLog,
  signal: AbortSignal,
): Promise<void> {
  const loop = new Loop({
    clock: systemClock,
    // With only a part of the sources, pods would look like pods without nodes and owners.
    reconcile: async () => (sources.every(({ synced }) => synced) ? await pass() : undefined),
    intervalMs: () => intervalMs,
    onError: (error) => log.warn({ err: error }, `the ${name} controller failed; it starts again`),
  })
  for (const source of sources) source.onChange(() => loop.trigger())
  loop.trigger()
  await loop.run(signal)
}
