// Writes one pod's status to the API server: the newest alone, one request at a time, until it is taken.
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

  /** @param make the status, given the conditions written before it. Takes the place of one not written yet. */
  write(make: (conditions: readonly PodCondition[]) => PodStatus): void {
    this.#next = make
    this.#writing ??= this.#writeAll()
  }

  /** What is not written by now will not be. */
  close(): void {
    this.#closed = true
  }

  /** Tells the API server that the pod has ended, so that the object goes too. Retries until it is told. */
  async confirmDeletion(): Promise<void> {
    await this.#writing
    const body = {
      kind: 'DeleteOptions',
      apiVersion: 'v1',
      gracePeriodSeconds: 0,
      preconditions: { uid: this.#pod.uid },
    }
    for (;;) {
      if (await this.#ask('DELETE', '', body, { gracePeriodSeconds: 0 })) return
      await sleep(retryMs)
    }
  }

  async #writeAll(): Promise<void> {
    while (this.#next !== undefined && !this.#closed) {
      const status = this.#next(this.#conditions)
      this.#next = undefined
      this.#conditions = status.conditions
      while (!this.#closed && !(await this.#ask('PATCH', '/status', { metadata: { uid: this.#pod.uid }, status })))
        await sleep(retryMs)
    }
    this.#writing = undefined
  }

  /** @returns whether there is nothing left to do about it: done, or the object is gone or another's by now. */
  async #ask(
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
      this.#log.warn(`${method} of ${podLabel(this.#pod)}${part}: ${messageOf(error)}`)
      return false
    }
  }
}
