// For tests: views with what matters said and the rest as it usually is.
import type { DeploymentView } from './deployment-view.ts'
import type { NodeView } from './node-view.ts'
import type { PodView } from './pod-view.ts'
import type { ServiceView } from './service-view.ts'

export function nodeView(name: string, said: Partial<NodeView> = {}): NodeView {
  return {
    name,
    uid: `${name}-uid`,
    labels: {},
    address: '',
    ready: true,
    unschedulable: false,
    podCapacity: 110,
    podCidrs: [],
    ...said,
  }
}

export function podView(name: string, said: Partial<PodView> = {}): PodView {
  return {
    namespace: 'default',
    name,
    uid: `${name}-uid`,
    createdAt: 0,
    labels: {},
    owner: undefined,
    nodeName: '',
    nodeSelector: {},
    schedulerName: 'default-scheduler',
    addresses: [],
    ports: [],
    ready: false,
    readySince: 0,
    deleted: false,
    finished: false,
    unscheduledBecause: '',
    ...said,
  }
}

export function deploymentView(said: Partial<DeploymentView> = {}): DeploymentView {
  return {
    namespace: 'default',
    name: 'web',
    uid: 'web-uid',
    generation: 1,
    deleted: false,
    replicas: 3,
    recreate: false,
    maxSurge: 1,
    maxUnavailable: 0,
    template: { metadata: { labels: { app: 'web' }, annotations: {} }, spec: {} },
    templateHash: 'new',
    status: {
      observedGeneration: 0,
      replicas: 0,
      updatedReplicas: 0,
      readyReplicas: 0,
      availableReplicas: 0,
      unavailableReplicas: 0,
    },
    ...said,
  }
}

export function serviceView(name: string, said: Partial<ServiceView> = {}): ServiceView {
  return {
    namespace: 'default',
    name,
    uid: `${name}-uid`,
    createdAt: 0,
    labels: {},
    deleted: false,
    type: 'ClusterIP',
    selector: { app: name },
    headless: false,
    ports: [{ name: '', protocol: 'TCP', port: 80, targetPort: 8080 }],
    families: ['IPv4'],
    publishNotReady: false,
    trafficDistribution: '',
    externalLocal: false,
    loadBalancerClass: '',
    loadBalancerAddresses: [],
    ...said,
  }
}
