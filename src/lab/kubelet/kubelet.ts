// The kubelet stand-in: an ordinary API client that turns a namespace into a Kubernetes node. It registers the Node,
// runs the agent, calls the real CNI binary like containerd does, and runs containers as processes.
//
// It does not adopt pods: at the start it removes everything that a previous kubelet of the node left, and starts all
// pods again.
import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ApiConnection } from '../../cluster/api-connection.ts'
import { Reflector } from '../../cluster/reflector.ts'
import { LabEventRecorder } from '../event-recorder.ts'
import { type AgentSettings, AgentSupervisor } from './agent-supervisor.ts'
import { type NetworkState, readNetworkState } from './cni-network.ts'
import { type KubeletLog, messageOf } from './kubelet-log.ts'
import { projectAgentWanted, registerNode, writeNodeStatus } from './node-registration.ts'
import { podLabel, type PodManifest, podManifestsEqual, projectPodManifest } from './pod-manifest.ts'
import { killLeftovers } from './pod-processes.ts'
import { type PodContext, PodWorker } from './pod-worker.ts'
import { removeNamespace } from './sandbox.ts'

export interface KubeletSettings {
  readonly api: ApiConnection
  readonly node: string
  /** Returns the node's current address. */
  readonly address: () => string
  /** The address of the cluster DNS, for pods. */
  readonly dns: string
  readonly agent: AgentSettings
  /** The folder of the pod records (pod-record.ts). */
  readonly podRecords: string
  readonly logs: string
  readonly log: KubeletLog
}

/** ms between checks of the network: until it is ready, then at the rate at which the kubelet asks its runtime. */
const startingPollMs = 100
const steadyPollMs = 1000

export async function runKubelet(settings: KubeletSettings, signal: AbortSignal): Promise<void> {
  await removeLeftovers(settings.podRecords)
  const kubelet = new Kubelet(settings)
  await registerNode(settings.api, settings.node, settings.log, signal)
  await kubelet.run(signal)
}

class Kubelet {
  readonly #settings: KubeletSettings
  readonly #agent: AgentSupervisor
  readonly #pods: Reflector<PodManifest>
  readonly #self: Reflector<boolean>
  readonly #workers = new Map<string, PodWorker>()
  readonly #events: LabEventRecorder
  #network: NetworkState = { ready: false, message: 'not checked yet', config: undefined }

  constructor(settings: KubeletSettings) {
    const { api, node, agent, log } = settings
    this.#settings = settings
    this.#agent = new AgentSupervisor(agent, log)
    this.#events = new LabEventRecorder({ api, component: 'kubelet', host: node, log })
    this.#pods = new Reflector({
      api,
      path: '/api/v1/pods',
      selector: { field: `spec.nodeName=${node}` },
      project: projectPodManifest,
      equals: podManifestsEqual,
      log,
    })
    this.#self = new Reflector({
      api,
      path: '/api/v1/nodes',
      selector: { field: `metadata.name=${node}` },
      project: projectAgentWanted,
      equals: Object.is,
      log,
    })
    this.#pods.onChange(() => this.#syncPods())
    this.#self.onChange(() => {
      this.#agent.wanted = this.#self.snapshot.get(node) ?? true
    })
  }

  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([
      this.#agent.run(signal),
      this.#self.run(signal),
      this.#watchNetwork(signal),
      this.#pods.run(signal),
    ])
  }

  #syncPods(): void {
    // By uid: a new pod can have the name of one that is still terminating here.
    const pods = new Map(Array.from(this.#pods.snapshot.values(), (pod) => [pod.uid, pod]))
    for (const [uid, pod] of pods) this.#syncPod(uid, pod)
    for (const [uid, worker] of this.#workers) if (!pods.has(uid)) worker.objectRemoved()
  }

  #syncPod(uid: string, pod: PodManifest): void {
    const worker = this.#workers.get(uid)
    if (worker !== undefined) return worker.update(pod)
    if (pod.finished && !pod.deleted) return
    const started = new PodWorker(pod, this.#context())
    this.#workers.set(uid, started)
    started
      .run()
      .catch((error: unknown) => this.#settings.log.warn({ pod: podLabel(pod), err: error }, 'pod worker failed'))
      .finally(() => this.#workers.delete(uid))
  }

  #context(): PodContext {
    const { api, node, address, dns, podRecords, logs, log } = this.#settings
    return {
      api,
      node,
      nodeAddress: address(),
      dns,
      podRecords,
      logs,
      log,
      network: () => this.#network,
      events: this.#events,
    }
  }

  async #watchNetwork(signal: AbortSignal): Promise<void> {
    const { api, node, address, log } = this.#settings
    let [written, since] = ['', Date.now()]
    while (!signal.aborted) {
      const current = address()
      this.#network = await readNetworkState()
      const { ready } = this.#network
      const message = this.#network.ready
        ? 'kubelet is posting ready status'
        : `container runtime network not ready: ${this.#network.message}`
      const status = `${current} ${message}`
      if (status !== written) {
        since = Date.now()
        try {
          await writeNodeStatus(api, { name: node, address: current }, { ready, message }, since)
          log.info({ ready, message }, 'node status written')
          written = status
        } catch (error) {
          log.warn({ error: messageOf(error) }, 'cannot write the node status; retrying')
        }
      }
      await sleep(ready && status === written ? steadyPollMs : startingPollMs, undefined, { signal }).catch(
        () => undefined,
      )
    }
  }
}

/**
 * Removes what a previous kubelet left: its containers and agent, then their namespaces. The agent releases the
 * addresses when it finds that the veth pairs are gone.
 */
async function removeLeftovers(podRecords: string): Promise<void> {
  killLeftovers()
  for (const record of readdirSync(podRecords)) rmSync(join(podRecords, record))
  const namespaces = readdirSync('/run/netns').filter((name) => name.startsWith('cni-'))
  for (const namespace of namespaces) await removeNamespace(namespace)
}
