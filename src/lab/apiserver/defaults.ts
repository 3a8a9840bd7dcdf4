// Defaults that the API server fills in, limited to the fields that the lab and the agents read (kubernetes
// pkg/apis/*/defaults.go).
import { type Fields, isFields, type KubeObject, listOfFields } from './kube-object.ts'
import { deployments, endpointSlices, namespaces, networkPolicies, pods, type Resource, services } from './resources.ts'

/** Changes the draft in place. */
export function applyDefaults(resource: Resource, draft: KubeObject): void {
  const spec = (draft.spec ??= {})
  if (resource === pods) defaultPodSpec(spec)
  else if (resource === services) defaultService(spec)
  else if (resource === deployments) defaultDeployment(spec)
  else if (resource === networkPolicies) defaultPolicy(spec)
  else if (resource === namespaces) defaultNamespace(draft, spec)
  else if (Object.keys(spec).length === 0) delete draft.spec
  if (resource === endpointSlices)
    for (const port of listOfFields(draft['ports'])) setMissing(port, { name: '', protocol: 'TCP' })
}

/** Returns the status of a new object. Controllers and kubelets report the rest. */
export function initialStatus(resource: Resource): Fields {
  if (resource === pods) return { phase: 'Pending', qosClass: 'BestEffort' }
  if (resource === namespaces) return { phase: 'Active' }
  return resource === services ? { loadBalancer: {} } : {}
}

function defaultPodSpec(spec: Fields): void {
  setMissing(spec, {
    restartPolicy: 'Always',
    terminationGracePeriodSeconds: 30,
    dnsPolicy: 'ClusterFirst',
    schedulerName: 'default-scheduler',
    securityContext: {},
  })
  for (const container of [...listOfFields(spec['containers']), ...listOfFields(spec['initContainers'])]) {
    for (const port of listOfFields(container['ports'])) {
      setMissing(port, { protocol: 'TCP' })
      // The ports of a pod in the host network are ports of the node.
      if (spec['hostNetwork'] === true) setMissing(port, { hostPort: port['containerPort'] })
    }
  }
}

function defaultService(spec: Fields): void {
  setMissing(spec, { type: 'ClusterIP', sessionAffinity: 'None' })
  if (spec['type'] !== 'ExternalName') setMissing(spec, { internalTrafficPolicy: 'Cluster' })
  if (spec['type'] === 'NodePort' || spec['type'] === 'LoadBalancer')
    setMissing(spec, { externalTrafficPolicy: 'Cluster' })
  if (spec['type'] === 'LoadBalancer') setMissing(spec, { allocateLoadBalancerNodePorts: true })
  if (spec['sessionAffinity'] === 'ClientIP')
    setMissing(spec, { sessionAffinityConfig: { clientIP: { timeoutSeconds: 10_800 } } })
  for (const port of listOfFields(spec['ports'])) setMissing(port, { protocol: 'TCP', targetPort: port['port'] })
}

function defaultDeployment(spec: Fields): void {
  setMissing(spec, {
    replicas: 1,
    revisionHistoryLimit: 10,
    progressDeadlineSeconds: 600,
    strategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: '25%', maxSurge: '25%' } },
  })
  const template = spec['template']
  if (isFields(template) && isFields(template['spec'])) defaultPodSpec(template['spec'])
}

function defaultPolicy(spec: Fields): void {
  // An empty egress list counts as absent: protobuf does not transmit empty lists.
  const egress = listOfFields(spec['egress']).length === 0 ? [] : ['Egress']
  setMissing(spec, { podSelector: {}, policyTypes: ['Ingress', ...egress] })
  for (const rule of [...listOfFields(spec['ingress']), ...listOfFields(spec['egress'])]) {
    for (const port of listOfFields(rule['ports'])) setMissing(port, { protocol: 'TCP' })
  }
}

function defaultNamespace(draft: KubeObject, spec: Fields): void {
  // Namespace selectors rely on this label.
  draft.metadata.labels = { ...draft.metadata.labels, 'kubernetes.io/metadata.name': draft.metadata.name }
  setMissing(spec, { finalizers: ['kubernetes'] })
}

function setMissing(fields: Fields, values: Fields): void {
  for (const [field, value] of Object.entries(values))
    if (fields[field] === undefined || fields[field] === '') fields[field] = value
}
