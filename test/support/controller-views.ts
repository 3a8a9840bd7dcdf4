// Views of objects for tests of the controllers: defaults, and the fields that a test gives.
import type { DeploymentView } from '../../src/lab/controllers/deployment-view.ts'
import type { NodeView } from '../../src/lab/controllers/node-view.ts'
import type { PodView } from '../../src/lab/controllers/pod-view.ts'
import type { ServiceView } from '../../src/lab/controllers/service-view.ts'

export function nodeView(name: string, fields: Partial<NodeView> = {}): NodeView {
  return {
    name,
    uid: `${name}-uid`,
    labels: {},
    address: '',
    ready: true,
    unschedulable: false,
    podCapacity: 110,
    podCidrs: [],
    ...fields,
  }
}

export function podView(name: string, fields: Partial<PodView> = {}): PodView {
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
    unschedulableReason: '',
    ...fields,
  }
}

export function deploymentView(fields: Partial<DeploymentView> = {}): DeploymentView {
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
    ...fields,
  }
}

export function serviceView(name: string, fields: Partial<ServiceView> = {}): ServiceView {
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
    ...fields,
  }
}
