// The subresources binding, which the scheduler writes, and scale. The subresource status is an ordinary update of one
// part of an object.
import { isFields, type KubeObject, listOfFields, textAt, timestamp } from './kube-object.ts'
import { pods, type Resource } from './resources.ts'
import type { Registry } from './registry.ts'
import { badRequest, conflict, successStatus } from './status-error.ts'

/**
 * POST pods/NAME/binding: assigns the pod to a node.
 * @throws StatusError 409 when it is assigned already or being deleted.
 */
export function bindPod(registry: Registry, namespace: string, name: string, binding: KubeObject): object {
  const node = textAt(binding, 'target.name')
  if (node === '') throw badRequest('Expected a binding to name a node in target.name')
  registry.update(pods, namespace, name, 'object', (pod) => {
    const bound = textAt(pod, 'spec.nodeName')
    if (bound !== '') throw conflict(pods, name, `pod ${name} is already assigned to node "${bound}"`)
    if (pod.metadata.deletionTimestamp !== undefined)
      throw conflict(pods, name, `pod ${name} is being deleted, cannot be assigned to a host`)
    return { ...pod, spec: { ...pod.spec, nodeName: node } }
  })
  registry.update(pods, namespace, name, 'status', (pod) => {
    const others = listOfFields(pod.status?.['conditions']).filter(({ type }) => type !== 'PodScheduled')
    return {
      ...pod,
      status: {
        ...pod.status,
        conditions: [
          ...others,
          { type: 'PodScheduled', status: 'True', lastProbeTime: null, lastTransitionTime: timestamp() },
        ],
      },
    }
  })
  return successStatus({}, 201)
}

export const scaleKind = { kind: 'Scale', apiVersion: 'autoscaling/v1' } as const

/** GET NAME/scale: returns the Scale of an object (autoscaling/v1). */
export function scaleOf({ metadata, spec, status }: KubeObject): KubeObject {
  const { name, namespace, uid, resourceVersion, creationTimestamp } = metadata
  const labels = isFields(spec?.['selector']) ? spec['selector']['matchLabels'] : undefined
  const selector = isFields(labels)
    ? Object.entries(labels)
        .map(([key, value]) => `${key}=${String(value)}`)
        .join(',')
    : ''
  const given = Object.fromEntries(
    Object.entries({ name, namespace, uid, resourceVersion, creationTimestamp }).filter(
      ([, value]) => value !== undefined,
    ),
  )
  return {
    ...scaleKind,
    metadata: { ...given, name },
    spec: { replicas: spec?.['replicas'] ?? 0 },
    status: { replicas: status?.['replicas'] ?? 0, selector },
  }
}

/** PUT or PATCH NAME/scale: changes only spec.replicas. */
export function updateScale(
  registry: Registry,
  resource: Resource,
  namespace: string,
  name: string,
  change: (scale: KubeObject) => KubeObject,
  dryRun: boolean,
): KubeObject {
  const written = registry.update(
    resource,
    namespace,
    name,
    'object',
    (current) => {
      const scale = change(scaleOf(current))
      const replicas = scale.spec?.['replicas'] ?? 0
      if (typeof replicas !== 'number')
        throw badRequest(`Expected spec.replicas of a scale to be a number, got \`${JSON.stringify(replicas)}\``)
      const { resourceVersion } = scale.metadata
      return {
        ...current,
        metadata: { ...current.metadata, ...(resourceVersion === undefined ? {} : { resourceVersion }) },
        spec: { ...current.spec, replicas },
      }
    },
    dryRun,
  )
  return scaleOf(written.object)
}
