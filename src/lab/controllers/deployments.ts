// The deployment controller. It creates pods without ReplicaSets: a pod has the hash of its template as a label and the
// Deployment as its owner. Pods of a deleted Deployment are deleted.
import { isDeepStrictEqual } from 'node:util'
import type { ApiConnection } from '../../cluster/api-connection.ts'
import type { LabEventRecorder } from '../event-recorder.ts'
import { tryWrite, type ControllerLog } from './try-write.ts'
import type { DeploymentView } from './deployment-view.ts'
import { podPath, type PodView } from './pod-view.ts'
import { nextStep, templateHashLabel } from './rollout.ts'

export interface DeploymentsSettings {
  readonly api: Pick<ApiConnection, 'request'>
  readonly events: Pick<LabEventRecorder, 'record'>
  readonly log: ControllerLog
}

export class Deployments {
  readonly #settings: DeploymentsSettings

  constructor(settings: DeploymentsSettings) {
    this.#settings = settings
  }

  async reconcile(deployments: ReadonlyMap<string, DeploymentView>, pods: ReadonlyMap<string, PodView>): Promise<void> {
    const owned = Map.groupBy(
      [...pods.values()].filter(({ owner }) => owner?.kind === 'Deployment'),
      ({ owner }) => owner?.uid,
    )
    const names = new Map<string, Set<string>>()
    for (const { namespace, name } of pods.values()) names.set(namespace, (names.get(namespace) ?? new Set()).add(name))
    for (const deployment of deployments.values()) {
      if (!deployment.deleted)
        await this.#reconcileDeployment(
          deployment,
          owned.get(deployment.uid) ?? [],
          names.get(deployment.namespace) ?? new Set(),
        )
      owned.delete(deployment.uid)
    }
    for (const orphans of owned.values())
      for (const pod of orphans) if (!pod.deleted) await this.#remove(pod, 'its Deployment does not exist any more')
  }

  async #reconcileDeployment(
    deployment: DeploymentView,
    pods: readonly PodView[],
    taken: ReadonlySet<string>,
  ): Promise<void> {
    const step = nextStep(deployment, pods, taken)
    for (const pod of step.remove)
      if (await this.#remove(pod, 'its Deployment does not need it'))
        this.#recordEvent(deployment, 'SuccessfulDelete', `Deleted pod: ${pod.name}`)
    for (const name of step.create) {
      if (!(await this.#create(deployment, name))) break
      this.#recordEvent(deployment, 'SuccessfulCreate', `Created pod: ${name}`)
    }
    if (!isDeepStrictEqual(step.status, deployment.status)) await this.#patchStatus(deployment, step.status)
  }

  async #create(
    { namespace, name: owner, uid, template, templateHash }: DeploymentView,
    name: string,
  ): Promise<boolean> {
    const { api, log } = this.#settings
    const { labels, annotations } = template.metadata
    const metadata = {
      name,
      namespace,
      labels: { ...labels, [templateHashLabel]: templateHash },
      annotations,
      ownerReferences: [
        { apiVersion: 'apps/v1', kind: 'Deployment', name: owner, uid, controller: true, blockOwnerDeletion: true },
      ],
    }
    const body = { apiVersion: 'v1', kind: 'Pod', metadata, spec: template.spec }
    return await tryWrite(log, `create pod ${namespace}/${name} for Deployment ${owner}`, () =>
      api.request('POST', `/api/v1/namespaces/${namespace}/pods`, { body }),
    )
  }

  async #remove(pod: PodView, reason: string): Promise<boolean> {
    const { api, log } = this.#settings
    const body = { apiVersion: 'v1', kind: 'DeleteOptions', preconditions: { uid: pod.uid } }
    return await tryWrite(log, `delete pod ${pod.namespace}/${pod.name}: ${reason}`, () =>
      api.request('DELETE', podPath(pod), { body }),
    )
  }

  #recordEvent({ namespace, name, uid }: DeploymentView, reason: string, message: string): void {
    this.#settings.events.record(
      { apiVersion: 'apps/v1', kind: 'Deployment', namespace, name, uid },
      { type: 'Normal', reason, message },
    )
  }

  async #patchStatus({ namespace, name, uid }: DeploymentView, status: DeploymentView['status']): Promise<void> {
    const { api, log } = this.#settings
    const available = {
      type: 'Available',
      status: status.unavailableReplicas === 0 ? 'True' : 'False',
      reason: status.unavailableReplicas === 0 ? 'MinimumReplicasAvailable' : 'MinimumReplicasUnavailable',
    }
    const body = { metadata: { uid }, status: { ...status, conditions: [available] } }
    const path = `/apis/apps/v1/namespaces/${namespace}/deployments/${name}/status`
    await tryWrite(log, `update status of Deployment ${namespace}/${name}`, () =>
      api.request('PATCH', path, { body, contentType: 'application/merge-patch+json' }),
    )
  }
}
