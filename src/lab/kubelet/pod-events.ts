// What happens to a pod on its node, told as events.
import type { EventRecorder, EventSubject, EventWords } from '../event-recorder.ts'
import type { ContainerState } from './container.ts'
import type { PodManifest } from './pod-manifest.ts'

export class PodEvents {
  readonly #recorder: EventRecorder
  readonly #subject: EventSubject
  /** What was told of each container last. */
  readonly #told = new Map<string, string>()

  constructor(recorder: EventRecorder, { namespace, name, uid }: PodManifest) {
    this.#recorder = recorder
    this.#subject = { apiVersion: 'v1', kind: 'Pod', namespace, name, uid }
  }

  networkNotReady(message: string): void {
    this.#pod({ type: 'Warning', reason: 'NetworkNotReady', message })
  }

  noSandbox(message: string): void {
    this.#pod({
      type: 'Warning',
      reason: 'FailedCreatePodSandBox',
      message: `Failed to create pod sandbox: ${message}`,
    })
  }

  /** To be called with every change: tells each start and each pause between starts once. */
  observe(containers: readonly ContainerState[]): void {
    for (const { name, current } of containers) {
      const state = current.kind === 'running' ? `running since ${current.startedAt}` : current.kind
      if (this.#told.get(name) === state) continue
      this.#told.set(name, state)
      if (current.kind === 'running')
        this.#container(name, { type: 'Normal', reason: 'Started', message: `Started container ${name}` })
      if (current.kind === 'waiting' && current.reason === 'CrashLoopBackOff')
        this.#container(name, {
          type: 'Warning',
          reason: 'BackOff',
          message: `Back-off restarting failed container ${name}`,
        })
    }
  }

  killing(containers: readonly ContainerState[]): void {
    for (const { name, current } of containers)
      if (current.kind === 'running')
        this.#container(name, { type: 'Normal', reason: 'Killing', message: `Stopping container ${name}` })
  }

  #pod(words: EventWords): void {
    this.#recorder.record(this.#subject, words)
  }

  #container(name: string, words: EventWords): void {
    this.#recorder.record({ ...this.#subject, fieldPath: `spec.containers{${name}}` }, words)
  }
}
