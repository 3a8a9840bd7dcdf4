// Writes the status of a pod to the API server: only the latest one, one request at a time, until it succeeds.
import { setTimeout as sleep } from 'node:timers/promises'
import type { ApiConnection } from '../../cluster/api-connection.ts'
import { ApiError } from '../../cluster/api-error.ts'
import { type KubeletLog, messageOf } from './kubelet-log.ts'
import { podLabel, type PodManifest } from './pod-manifest.ts'
import type { PodCondition, PodStatus } from './pod-status.ts'

const retryMs = 500

export class PodStatusWriter {
  readonly #pod: PodManifest
  readonly #api: ApiConnection
  readonly #log: KubeletLog
  #conditions: readonly PodCondition[] = []
  #next: ((conditions: readonly PodCondition[]) => PodStatus) | undefined
  #writing: Promise<void> | undefined
  #closed = false

  constructor(pod: PodManifest, { api, log }: { api: ApiConnection; log: KubeletLog }) {
    this.#pod = pod
    this.#api = api
    this.#log = log
  }

  /**
   * Schedules a write; it replaces one that has not been sent yet.
   * @param make builds the status, given the conditions of the previous one.
   */
  write(make: (conditions: readonly PodCondition[]) => PodStatus): void {
    this.#next = make
    this.#writing ??= this.#writeAll()
  }

  /** Drops what has not been written yet. */
  close(): void {
    this.#closed = true
  }

  /** Deletes the Pod object, because the pod has ended. Retries until it succeeds. */
  async confirmDeletion(): Promise<void> {
    await this.#writing
    const body = {
      kind: 'DeleteOptions',
      apiVersion: 'v1',
      gracePeriodSeconds: 0,
      preconditions: { uid: this.#pod.uid },
    }
    for (;;) {
      if (await this.#send('DELETE', '', body, { gracePeriodSeconds: 0 })) return
      await sleep(retryMs)
    }
  }

  async #writeAll(): Promise<void> {
    while (this.#next !== undefined && !this.#closed) {
      const status = this.#next(this.#conditions)
      this.#next = undefined
      this.#conditions = status.conditions
      while (!this.#closed && !(await this.#send('PATCH', '/status', { metadata: { uid: this.#pod.uid }, status })))
        await sleep(retryMs)
    }
    this.#writing = undefined
  }

  /** @returns false when the request must be repeated. An object that is gone or has another uid needs no request. */
  async #send(
    method: 'PATCH' | 'DELETE',
    part: '' | '/status',
    body: object,
    query: Readonly<Record<string, number>> = {},
  ): Promise<boolean> {
    const { namespace, name } = this.#pod
    try {
      await this.#api.request(method, `/api/v1/namespaces/${namespace}/pods/${name}${part}`, {
        query,
        body,
        ...(method === 'PATCH' ? { contentType: 'application/merge-patch+json' } : {}),
      })
      return true
    } catch (error) {
      if (error instanceof ApiError && (error.status === 404 || error.status === 409)) return true
      this.#log.warn(
        { method, pod: `${podLabel(this.#pod)}${part}`, error: messageOf(error) },
        'request failed; retrying',
      )
      return false
    }
  }
}
