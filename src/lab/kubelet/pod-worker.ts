// Runs one pod from its appearance to its end: sandbox, containers, status, removal. Each pod has its own worker, so a
// slow pod does not delay others.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ApiConnection } from '../../cluster/api-connection.ts'
import type { LabEventRecorder } from '../event-recorder.ts'
import { podRecordFile } from '../pod-record.ts'
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
  /** The folder of the pod records, which `lab exec` reads. */
  readonly podRecords: string
  /** The folder for the output of containers. */
  readonly logs: string
  readonly network: () => NetworkState
  readonly events: LabEventRecorder
  readonly log: KubeletLog
}

/** ms between attempts to create or remove a sandbox; doubled each time. */
const firstRetryMs = 200
const longestRetryMs = 10_000
/** ms between checks whether the network of the node is ready. */
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

  /** Takes over a change of the Pod object. Only its deletion matters. */
  update(pod: PodManifest): void {
    this.#pod = pod
    if (!pod.deleted) return
    this.#stop.abort()
    if (pod.gracePeriod === 0) this.#kill.abort()
  }

  /** The Pod object was removed: the pod ends at once, without a grace period. */
  objectRemoved(): void {
    this.#stop.abort()
    this.#kill.abort()
  }

  /** Resolves when nothing of the pod is left on the node. Rejects only on a bug. */
  async run(): Promise<void> {
    const { log } = this.#context
    const sandboxed = this.#pod.hostNetwork ? true : await this.#createSandbox()
    if (sandboxed && !this.#stop.signal.aborted) {
      log.info({ pod: podLabel(this.#pod), addresses: this.#addresses() }, 'pod starting')
      await this.#runContainers()
    }
    await this.#removeSandbox()
    // A pod that has finished stays visible until it is deleted.
    if (!this.#stop.signal.aborted) await aborted(this.#stop.signal)
    this.#status.close()
    if (!this.#kill.signal.aborted || this.#pod.deleted) await this.#status.confirmDeletion()
    log.info({ pod: podLabel(this.#pod) }, 'pod removed')
  }

  /** Creates the sandbox; retries until it succeeds or the pod is deleted. */
  async #createSandbox(): Promise<boolean> {
    const { network, dns, log } = this.#context
    for (let retry = firstRetryMs; !this.#stop.signal.aborted;) {
      const state = network()
      if (!state.ready) {
        const problem = `network is not ready: ${state.message}`
        if (problem !== this.#problem) this.#events.networkNotReady(problem)
        this.#setProblem(problem)
        await this.#pause(networkPollMs)
        continue
      }
      try {
        this.#sandbox = await createSandbox(this.#pod, state.config, dns)
        this.#problem = undefined
        return true
      } catch (error) {
        log.warn(
          { pod: podLabel(this.#pod), error: messageOf(error), retryMs: retry },
          'cannot create the sandbox; retrying',
        )
        this.#setProblem(messageOf(error))
        this.#events.sandboxFailed(messageOf(error))
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
      onChange: () => this.#publishStatus(),
    }
    this.#containers = pod.containers.map((container) => {
      const log = join(logs, `${pod.namespace}_${pod.name}_${container.name}.log`)
      // The file may contain the output of a previous pod of this name.
      rmSync(log, { force: true })
      return new ContainerRunner(container, { ...settings, log })
    })
    const record = join(this.#context.podRecords, podRecordFile(pod))
    writeFileSync(record, `${JSON.stringify({ netns: settings.netns, environment })}\n`)
    const ended = new AbortController()
    const killing = this.#killAfterGracePeriod(ended.signal)
    await Promise.all(this.#containers.map(async (container) => await container.run(this.#stop.signal)))
    ended.abort()
    await killing
    rmSync(record, { force: true })
    this.#publishStatus()
  }

  /**
   * Waits for the stop and then for the grace period, and sends SIGKILL; sends it at once if the period is cut short.
   */
  async #killAfterGracePeriod(ended: AbortSignal): Promise<void> {
    await aborted(AbortSignal.any([this.#stop.signal, ended]))
    if (ended.aborted) return
    this.#events.killing(this.#containers.map(({ state }) => state))
    await sleep(this.#pod.gracePeriod * 1000, undefined, { signal: AbortSignal.any([this.#kill.signal, ended]) }).catch(
      () => undefined,
    )
    if (!ended.aborted) for (const container of this.#containers) container.kill('SIGKILL')
  }

  async #removeSandbox(): Promise<void> {
    const sandbox = this.#sandbox
    if (sandbox === undefined) return
    killProcessesIn(sandbox.netns)
    for (let retry = firstRetryMs; ; retry = Math.min(retry * 2, longestRetryMs)) {
      try {
        const state = this.#context.network()
        // Without a configuration no plugin can be called. When only STATUS fails, because the agent is down, DEL
        // works.
        if (state.config === undefined) throw new Error(state.ready ? 'no configuration' : state.message)
        await removeSandbox(sandbox, this.#pod, state.config)
        this.#sandbox = undefined
        return
      } catch (error) {
        const fields = { pod: podLabel(this.#pod), error: messageOf(error), retryMs: retry }
        this.#context.log.warn(fields, 'cannot remove the sandbox; retrying')
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

  #setProblem(problem: string): void {
    if (problem === this.#problem) return
    this.#problem = problem
    this.#publishStatus()
  }

  #publishStatus(): void {
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
