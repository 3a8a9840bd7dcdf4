// Reports what happens to a pod on its node as Events.
import type { LabEventRecorder, EventSubject, EventDetails } from '../event-recorder.ts'
import type { ContainerState } from './container.ts'
import type { PodManifest } from './pod-manifest.ts'

export class PodEvents {
  readonly #recorder: LabEventRecorder
  readonly #subject: EventSubject
  /** The last reported state of each container. */
  readonly #reported = new Map<string, string>()

  constructor(recorder: LabEventRecorder, { namespace, name, uid }: PodManifest) {
    this.#recorder = recorder
    this.#subject = { apiVersion: 'v1', kind: 'Pod', namespace, name, uid }
  }

  networkNotReady(message: string): void {
    this.#pod({ type: 'Warning', reason: 'NetworkNotReady', message })
  }

  sandboxFailed(message: string): void {
    this.#pod({
      type: 'Warning',
      reason: 'FailedCreatePodSandBox',
      message: `Failed to create pod sandbox: ${message}`,
    })
  }

  /** Must be called after every change. Reports each start and each back-off once. */
  observe(containers: readonly ContainerState[]): void {
    for (const { name, current } of containers) {
      const state = current.kind === 'running' ? `running since ${current.startedAt}` : current.kind
      if (this.#reported.get(name) === state) continue
      this.#reported.set(name, state)
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

  #pod(details: EventDetails): void {
    this.#recorder.record(this.#subject, details)
  }

  #container(name: string, details: EventDetails): void {
    this.#recorder.record({ ...this.#subject, fieldPath: `spec.containers{${name}}` }, details)
  }
}
