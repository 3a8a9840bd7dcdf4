// Runs the lab's controllers. Each is an ordinary client of the API with one loop: it reads snapshots of reflectors and
// reconciles everything again after any change. Controllers share snapshots but never call each other, so each of them
// also works beside a real control plane.
import { isDeepStrictEqual } from 'node:util'
import { steadyClock } from '../../runtime/clock.ts'
import { Loop } from '../../runtime/loop.ts'
import type { ApiConnection } from '../../cluster/api-connection.ts'
import { Reflector } from '../../cluster/reflector.ts'
import { parseCidr } from '../../net/cidr.ts'
import { LabEventRecorder } from '../event-recorder.ts'
import type { ControllerLog } from './try-write.ts'
import { type DeploymentView, projectDeployment } from './deployment-view.ts'
import { Deployments } from './deployments.ts'
import { NamespaceController } from './namespace-controller.ts'
import { type NamespaceView, projectNamespace } from './namespace-view.ts'
import { NodeIpam } from './node-ipam.ts'
import { EndpointSlices } from './endpoint-slices.ts'
import { projectSlice, type SliceView } from './endpoint-slice-view.ts'
import { loadBalancerRoutes, type LoadBalancerRoutes } from './load-balancer-routes.ts'
import { LoadBalancers } from './load-balancers.ts'
import { type NodeView, projectNode } from './node-view.ts'
import { PodGarbageCollector } from './pod-garbage-collector.ts'
import { type PodView, projectPod } from './pod-view.ts'
import { Scheduler } from './scheduler.ts'
import { projectService, type ServiceView } from './service-view.ts'

export interface ControllersOptions {
  readonly api: ApiConnection
  /** The block for podCIDRs; for dual-stack two, separated by a comma, the primary family first. */
  readonly clusterCidr: string
  /** Whether to run the namespace controller: a real API server needs it, the lab's empties namespaces by itself. */
  readonly runNamespaceController: boolean
  /** The addresses for Services of type LoadBalancer. */
  readonly loadBalancerPool: readonly string[]
  /** Called with the nodes that announce each load balancer address, whenever that has changed. */
  readonly announce: (routes: LoadBalancerRoutes) => Promise<void>
  readonly log: ControllerLog
  readonly signal: AbortSignal
}

/** ms after which a controller reconciles even without a change, which retries failed writes. */
const intervalMs = 5000

/**
 * Resolves after the signal.
 * @throws {TypeError} when the cluster CIDR is invalid.
 */
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

  const nodeIpam = new NodeIpam({ api, clusterCidrs, log })
  const scheduler = new Scheduler({
    api,
    events: new LabEventRecorder({ api, component: 'default-scheduler', log }),
    log,
  })
  const rollouts = new Deployments({
    api,
    events: new LabEventRecorder({ api, component: 'deployment-controller', log }),
    log,
  })
  const podGarbageCollector = new PodGarbageCollector({ api, log })
  const namespaceController = new NamespaceController({ api, log })
  const endpoints = new EndpointSlices({ api, log })
  const loadBalancers = new LoadBalancers({ api, pool: options.loadBalancerPool, log })
  const controllers: readonly Controller[] = [
    { name: 'node IPAM', sources: [nodes], reconcile: () => nodeIpam.reconcile(nodes.snapshot) },
    { name: 'scheduler', sources: [nodes, pods], reconcile: () => scheduler.reconcile(nodes.snapshot, pods.snapshot) },
    {
      name: 'deployments',
      sources: [deployments, pods],
      reconcile: () => rollouts.reconcile(deployments.snapshot, pods.snapshot),
    },
    {
      name: 'pod garbage collector',
      sources: [nodes, pods],
      reconcile: () => podGarbageCollector.reconcile(nodes.snapshot, pods.snapshot),
    },
    // A namespace is finalized when its last pod is gone.
    {
      name: 'namespaces',
      sources: [namespaces, pods],
      reconcile: async () =>
        options.runNamespaceController ? await namespaceController.reconcile(namespaces.snapshot) : undefined,
    },
    {
      name: 'endpoint slices',
      sources: [services, pods, nodes, slices],
      reconcile: () =>
        endpoints.reconcile({
          services: services.snapshot,
          pods: pods.snapshot,
          nodes: nodes.snapshot,
          slices: slices.snapshot,
        }),
    },
    { name: 'load balancers', sources: [services], reconcile: () => loadBalancers.reconcile(services.snapshot) },
    {
      name: 'load balancer routes',
      sources: [services, nodes, slices],
      reconcile: () => options.announce(loadBalancerRoutes(services.snapshot, nodes.snapshot, slices.snapshot)),
    },
  ]
  const reflectors = [nodes, pods, deployments, namespaces, services, slices].map((reflector) => reflector.run(signal))
  await Promise.all([...reflectors, ...controllers.map((controller) => runController(controller, log, signal))])
}

interface Controller {
  readonly name: string
  readonly sources: readonly Source[]
  readonly reconcile: () => Promise<void>
}

type Source = Pick<Reflector<unknown>, 'onChange' | 'synced'>

async function runController(
  { name, sources, reconcile }: Controller,
  log: ControllerLog,
  signal: AbortSignal,
): Promise<void> {
  const loop = new Loop({
    clock: steadyClock,
    // Before all sources are synced, pods would seem to have no node or owner.
    reconcile: async () => (sources.every(({ synced }) => synced) ? await reconcile() : undefined),
    intervalMs: () => intervalMs,
    onError: (error) => log.warn({ controller: name, err: error }, 'controller failed; retrying'),
  })
  for (const source of sources) source.onChange(() => loop.trigger())
  loop.trigger()
  await loop.run(signal)
}
