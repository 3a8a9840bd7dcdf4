// One pod, from its first sight to its last: sandbox, containers, status, end. One worker each, so that a slow pod
// holds up no other.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ApiConnection } from '../../cluster/api-connection.ts'
import type { EventRecorder } from '../event-recorder.ts'
import { podNoteFile } from '../pod-note.ts'
import type { NetworkState } from './cni-network.ts'
import { containerPath, ContainerRunner } from './container.ts'
import { type KubeletLog, messageOf } from './kubelet-log.ts'
import { PodEvents } from './pod-events.ts'
import { podLabel, type PodManifest } from './pod-manifest.ts'
import { killProcessesIn } from './pod-processes.ts'
import { podStatusOf } from './pod-status.ts'
import { PodStatusWriter } from './pod-status-writer.ts'
import { createSandbox, removeSandbox, type Sandbox } from './sandbox.ts'

export interface PodContext {
  readonly api: ApiConnection
  readonly node: string
  readonly nodeAddress: string
  readonly dns: string
  /** Where pods are noted down for `lab exec`. */
  readonly notes: string
  /** Where containers' output goes. */
  readonly logs: string
  readonly network: () => NetworkState
  readonly events: EventRecorder
  readonly log: KubeletLog
}

/** Between two tries to make or remove a sandbox: doubled each time. */
const firstRetryMs = 200
const longestRetryMs = 10_000
/** How often a pod looks whether its node's network is ready. */
const networkPollMs = 50

export class PodWorker {
  readonly #context: PodContext
  readonly #status: PodStatusWriter
  readonly #events: PodEvents
  readonly #stop = new AbortController()
  readonly #kill = new AbortController()
  readonly #startTime = Date.now()
  #pod: PodManifest
  #sandbox: Sandbox | undefined
  #containers: readonly ContainerRunner[] = []
  #problem: string | undefined

  constructor(pod: PodManifest, context: PodContext) {
    this.#pod = pod
    this.#context = context
    this.#status = new PodStatusWriter(pod, context)
    this.#events = new PodEvents(context.events, pod)
    if (pod.deleted) this.#stop.abort()
  }

  /** The pod as the API server has it now: that it is deleted is all that can change. */
  update(pod: PodManifest): void {
    this.#pod = pod
    if (!pod.deleted) return
    this.#stop.abort()
    if (pod.gracePeriod === 0) this.#kill.abort()
  }

  /** The object is gone: nobody waits for a graceful end any more. */
  vanish(): void {
    this.#stop.abort()
    this.#kill.abort()
  }

  /** Returns when nothing is left of the pod here. Never rejects but for a defect. */
  async run(): Promise<void> {
    const { log } = this.#context
    const sandboxed = this.#pod.hostNetwork ? true : await this.#enterNetwork()
    if (sandboxed && !this.#stop.signal.aborted) {
      log.info(`${podLabel(this.#pod)} starts with ${this.#addresses().join(', ')}`)
      await this.#runContainers()
    }
    await this.#leaveNetwork()
    // A pod that came to its end by itself stays to be seen, until it is deleted.
    if (!this.#stop.signal.aborted) await aborted(this.#stop.signal)
    this.#status.close()
    if (!this.#kill.signal.aborted || this.#pod.deleted) await this.#status.confirmDeletion()
    log.info(`${podLabel(this.#pod)} is gone`)
  }

  /** Makes the sandbox, trying again until it is there or the pod is not wanted any more. */
  async #enterNetwork(): Promise<boolean> {
    const { network, dns, log } = this.#context
    for (let retry = firstRetryMs; !this.#stop.signal.aborted;) {
      const state = network()
      if (!state.ready) {
        const problem = `network is not ready: ${state.message}`
        if (problem !== this.#problem) this.#events.networkNotReady(problem)
        this.#report(problem)
        await this.#pause(networkPollMs)
        continue
      }
      try {
        this.#sandbox = await createSandbox(this.#pod, state.config, dns)
        this.#problem = undefined
        return true
      } catch (error) {
        log.warn(`no sandbox for ${podLabel(this.#pod)}: ${messageOf(error)}; next try in ${retry} ms`)
        this.#report(messageOf(error))
        this.#events.noSandbox(messageOf(error))
        await this.#pause(retry)
        retry = Math.min(retry * 2, longestRetryMs)
      }
    }
    return false
  }

  async #runContainers(): Promise<void> {
    const pod = this.#pod
    const { logs } = this.#context
    const environment = this.#environment()
    mkdirSync(logs, { recursive: true })
    const settings = {
      netns: this.#sandbox?.netns ?? '',
      host: this.#addresses()[0] ?? '127.0.0.1',
      environment,
      restartPolicy: pod.restartPolicy,
      onChange: () => this.#post(),
    }
    this.#containers = pod.containers.map((container) => {
      const log = join(logs, `${pod.namespace}_${pod.name}_${container.name}.log`)
      // What an earlier pod of that name printed is not this one's.
      rmSync(log, { force: true })
      return new ContainerRunner(container, { ...settings, log })
    })
    const note = join(this.#context.notes, podNoteFile(pod))
    writeFileSync(note, `${JSON.stringify({ netns: settings.netns, environment })}\n`)
    const ended = new AbortController()
    const killing = this.#killWhenDue(ended.signal)
    await Promise.all(this.#containers.map(async (container) => await container.run(this.#stop.signal)))
    ended.abort()
    await killing
    rmSync(note, { force: true })
    this.#post()
  }

  /** After the stop, the pod's grace period, then SIGKILL; at once when it is cut short. */
  async #killWhenDue(ended: AbortSignal): Promise<void> {
    await aborted(AbortSignal.any([this.#stop.signal, ended]))
    if (ended.aborted) return
    this.#events.killing(this.#containers.map(({ state }) => state))
    await sleep(this.#pod.gracePeriod * 1000, undefined, { signal: AbortSignal.any([this.#kill.signal, ended]) }).catch(
      () => undefined,
    )
    if (!ended.aborted) for (const container of this.#containers) container.kill('SIGKILL')
  }

  async #leaveNetwork(): Promise<void> {
    const sandbox = this.#sandbox
    if (sandbox === undefined) return
    killProcessesIn(sandbox.netns)
    for (let retry = firstRetryMs; ; retry = Math.min(retry * 2, longestRetryMs)) {
      try {
        const state = this.#context.network()
        // Without a configuration there is nobody to ask; with one whose agent is away DEL works, and STATUS alone says
        // no.
        if (state.config === undefined) throw new Error(state.ready ? 'no configuration' : state.message)
        await removeSandbox(sandbox, this.#pod, state.config)
        this.#sandbox = undefined
        return
      } catch (error) {
        this.#context.log.warn(
          `the sandbox of ${podLabel(this.#pod)} cannot be removed: ${messageOf(error)}; next try in ${retry} ms`,
        )
        await sleep(retry)
      }
    }
  }

  #environment(): Record<string, string> {
    const { namespace, name } = this.#pod
    return {
      PATH: containerPath,
      HOME: '/root',
      HOSTNAME: name,
      POD_NAME: name,
      POD_NAMESPACE: namespace,
      POD_IP: this.#addresses()[0] ?? '',
      NODE_NAME: this.#context.node,
    }
  }

  #addresses(): readonly string[] {
    return this.#pod.hostNetwork ? [this.#context.nodeAddress] : (this.#sandbox?.addresses ?? [])
  }

  #report(problem: string): void {
    if (problem === this.#problem) return
    this.#problem = problem
    this.#post()
  }

  #post(): void {
    this.#events.observe(this.#containers.map(({ state }) => state))
    const facts = {
      pod: this.#pod,
      nodeAddress: this.#context.nodeAddress,
      problem: this.#problem,
      startTime: this.#startTime,
      now: Date.now(),
    }
    this.#status.write((conditions) =>
      podStatusOf(
        { ...facts, addresses: this.#addresses(), containers: this.#containers.map(({ state }) => state) },
        conditions,
      ),
    )
  }

  async #pause(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.#stop.signal }).catch(() => undefined)
  }
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  const { promise, resolve } = Promise.withResolvers<void>()
  signal.addEventListener('abort', () => resolve(), { once: true })
  await promise
}
