// Makes Deployments into pods, without ReplicaSets between: pods carry the template's hash and their Deployment as
// owner. The pods of a Deployment that is gone go too.
import { isDeepStrictEqual } from 'node:util'
import type { ApiConnection } from '../../cluster/api-connection.ts'
import type { EventRecorder } from '../event-recorder.ts'
import { attempt, type ControllerLog } from './attempt.ts'
import type { DeploymentView } from './deployment-view.ts'
import { podPath, type PodView } from './pod-view.ts'
import { nextStep, templateHashLabel } from './rollout.ts'

export interface DeploymentsSettings {
  readonly api: Pick<ApiConnection, 'request'>
  readonly events: Pick<EventRecorder, 'record'>
  readonly log: ControllerLog
}

export class Deployments {
  readonly #settings: DeploymentsSettings

  constructor(settings: DeploymentsSettings) {
    this.#settings = settings
  }

  async pass(deployments: ReadonlyMap<string, DeploymentView>, pods: ReadonlyMap<string, PodView>): Promise<void> {
    const owned = Map.groupBy(
      [...pods.values()].filter(({ owner }) => owner?.kind === 'Deployment'),
      ({ owner }) => owner?.uid,
    )
    const names = new Map<string, Set<string>>()
    for (const { namespace, name } of pods.values()) names.set(namespace, (names.get(namespace) ?? new Set()).add(name))
    for (const deployment of deployments.values()) {
      if (!deployment.deleted)
        await this.#advance(deployment, owned.get(deployment.uid) ?? [], names.get(deployment.namespace) ?? new Set())
      owned.delete(deployment.uid)
    }
    for (const orphans of owned.values())
      for (const pod of orphans) if (!pod.deleted) await this.#remove(pod, 'its Deployment is gone')
  }

  async #advance(deployment: DeploymentView, pods: readonly PodView[], taken: ReadonlySet<string>): Promise<void> {
    const step = nextStep(deployment, pods, taken)
    for (const pod of step.remove)
      if (await this.#remove(pod, 'its Deployment has no use for it'))
        this.#tell(deployment, 'SuccessfulDelete', `Deleted pod: ${pod.name}`)
    for (const name of step.create) {
      if (!(await this.#create(deployment, name))) break
      this.#tell(deployment, 'SuccessfulCreate', `Created pod: ${name}`)
    }
    if (!isDeepStrictEqual(step.status, deployment.status)) await this.#report(deployment, step.status)
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
    return await attempt(log, `pod ${namespace}/${name} for Deployment ${owner}`, () =>
      api.request('POST', `/api/v1/namespaces/${namespace}/pods`, { body }),
    )
  }

  async #remove(pod: PodView, because: string): Promise<boolean> {
    const { api, log } = this.#settings
    const body = { apiVersion: 'v1', kind: 'DeleteOptions', preconditions: { uid: pod.uid } }
    return await attempt(log, `pod ${pod.namespace}/${pod.name} is deleted: ${because}`, () =>
      api.request('DELETE', podPath(pod), { body }),
    )
  }

  #tell({ namespace, name, uid }: DeploymentView, reason: string, message: string): void {
    this.#settings.events.record(
      { apiVersion: 'apps/v1', kind: 'Deployment', namespace, name, uid },
      { type: 'Normal', reason, message },
    )
  }

  async #report({ namespace, name, uid }: DeploymentView, status: DeploymentView['status']): Promise<void> {
    const { api, log } = this.#settings
    const available = {
      type: 'Available',
      status: status.unavailableReplicas === 0 ? 'True' : 'False',
      reason: status.unavailableReplicas === 0 ? 'MinimumReplicasAvailable' : 'MinimumReplicasUnavailable',
    }
    const body = { metadata: { uid }, status: { ...status, conditions: [available] } }
    const path = `/apis/apps/v1/namespaces/${namespace}/deployments/${name}/status`
    await attempt(log, `status of Deployment ${namespace}/${name}`, () =>
      api.request('PATCH', path, { body, contentType: 'application/merge-patch+json' }),
    )
  }
}
