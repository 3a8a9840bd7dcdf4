// A lab with the matrix in it: two nodes with real agents, the pods, a Service in front of each, and clients outside.
// Policies go in through the API server, and packets say what came of them.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, vi } from 'vitest'
import {
  type Lab,
  labNamed,
  namespacePath,
  nodePidFile,
  parseNodeName,
  podRecordsDirectory,
} from '../../src/lab/layout.ts'
import { podRecordFile, podRecordSchema } from '../../src/lab/pod-record.ts'
import { type LabNode, TestLab } from '../netns/test-lab.ts'
import { LabApi } from './lab-api.ts'
import { type Asked, cellsOf, differencesOf, labNode, nameOf, outsiders, verdictsOf } from './matrix-cells.ts'
import type { Verdict } from './matrix.ts'
import { hostPod, namespaceManifest, namespaces, podManifest, pods, ports, serviceManifest } from './matrix-cluster.ts'
import { type Labels, manifestOf, type NetworkPolicy } from './network-policy.ts'
import type { Pod } from './oracle.ts'
import { Prober, type Question } from './prober.ts'

/** One pod on each node that no policy of a test concerns: see {@link MatrixLab.settle}. */
const canaries = ['node1', 'node2'].map((node) => ({
  namespace: 'canary',
  name: `on-${node}`,
  labels: {},
  node,
  ports: [],
}))
const canaryPolicy = '/apis/networking.k8s.io/v1/namespaces/canary/networkpolicies/canary'
const firstCanaryPort = 1000
const inForceWithinMs = 60_000

export class MatrixLab implements AsyncDisposable {
  readonly lab: TestLab
  readonly api: LabApi
  readonly prober: Prober
  readonly #files: Lab
  readonly #nodes: readonly LabNode[]
  /** With labels as they are now, and so the namespaces. */
  #pods: readonly Pod[]
  #namespaces: Readonly<Record<string, Labels>> = namespaces
  #policies: readonly NetworkPolicy[] = []
  #cells: readonly Asked[] = []
  #step = 0
  /** What the canaries and their namespace bear, and whether others have been labelled since. */
  #canaryLabels: Labels = {}
  #labelled = true

  private constructor(lab: TestLab, made: { pods: readonly Pod[]; nodes: readonly LabNode[] }) {
    this.lab = lab
    this.#files = labNamed(lab.name)
    this.#pods = made.pods
    this.#nodes = made.nodes
    this.api = new LabApi(lab.name)
    this.prober = new Prober()
  }

  static async start(name: string): Promise<MatrixLab> {
    const lab = new TestLab(name)
    try {
      await lab.succeed(['up'])
      const all = [...pods, hostPod, ...canaries]
      const canaryNamespace = namespaceManifest('canary', {})
      await lab.apply(
        ...Object.entries(namespaces).map(([name, labels]) => namespaceManifest(name, labels)),
        canaryNamespace,
        ...all.map(podManifest),
        ...pods.map(serviceManifest),
      )
      await lab.apply({
        apiVersion: 'networking.k8s.io/v1',
        kind: 'NetworkPolicy',
        metadata: { namespace: 'canary', name: 'canary' },
        spec: { podSelector: {} },
      })
      const ready = await lab.readyPods(all.length)
      const addressed = all.map((pod) => ({
        ...pod,
        address: ready.find(({ namespace, name }) => namespace === pod.namespace && name === pod.name)?.address ?? '',
      }))
      const matrix = new MatrixLab(lab, { pods: addressed, nodes: (await lab.status()).nodes })
      await matrix.#populate()
      return matrix
    } catch (error) {
      await lab[Symbol.asyncDispose]()
      throw error
    }
  }

  /** Of the matrix, with the labels that they have now. */
  get pods(): readonly Pod[] {
    return this.#pods.filter(({ namespace, hostNetwork }) => namespace !== 'canary' && hostNetwork !== true)
  }

  pod(name: string): Pod {
    const pod = this.#pods.find((pod) => nameOf(pod) === name)
    if (pod === undefined) throw new Error(`Expected a pod of the matrix, got \`${name}\``)
    return pod
  }

  /** These policies in place of those before. */
  async apply(...policies: readonly NetworkPolicy[]): Promise<void> {
    const collection = (namespace: string): string =>
      `/apis/networking.k8s.io/v1/namespaces/${namespace}/networkpolicies`
    for (const { namespace, name } of this.#policies)
      await this.api.request('DELETE', `${collection(namespace)}/${name}`)
    this.#policies = []
    for (const policy of policies) {
      await this.api.request('POST', collection(policy.namespace), manifestOf(policy))
      this.#policies = [...this.#policies, policy]
    }
  }

  async labelPod(name: string, labels: Labels): Promise<void> {
    const pod = this.pod(name)
    await this.api.request('PATCH', `/api/v1/namespaces/${pod.namespace}/pods/${pod.name}`, {
      metadata: { labels: replacing(pod.labels, labels) },
    })
    this.#labelled = true
    this.#pods = this.#pods.map((other) => (other === pod ? { ...pod, labels } : other))
  }

  async labelNamespace(name: string, labels: Labels): Promise<void> {
    await this.api.request('PATCH', `/api/v1/namespaces/${name}`, {
      metadata: { labels: replacing(this.#namespaces[name] ?? {}, labels) },
    })
    this.#labelled = true
    this.#namespaces = { ...this.#namespaces, [name]: labels }
  }

  /**
   * Returns when both agents have in force what was changed before. An agent hears of changes in their order, so the
   * last ones tell of all: after labels, new ones of the canaries and of their namespace, and a policy that admits only
   * who has them, at a port that is another each time. It is in force when this port is open and the last closed.
   */
  async settle(): Promise<void> {
    const port = firstCanaryPort + ++this.#step
    if (this.#labelled) {
      this.#canaryLabels = { step: String(this.#step) }
      const metadata = { labels: this.#canaryLabels }
      for (const { name } of canaries)
        await this.api.request('PATCH', `/api/v1/namespaces/canary/pods/${name}`, { metadata })
      await this.api.request('PATCH', '/api/v1/namespaces/canary', { metadata })
      this.#labelled = false
    }
    const canary = { matchLabels: this.#canaryLabels }
    const peer = { namespaceSelector: canary, podSelector: canary }
    await this.api.request('PATCH', canaryPolicy, {
      spec: { ingress: [{ from: [peer], ports: [{ protocol: 'SCTP', port }] }] },
    })
    const [near, far] = [this.pod('canary/on-node1'), this.pod('canary/on-node2')]
    // None is waited for: what does not answer at once is asked again.
    const questions = [
      [near, far],
      [far, near],
    ].flatMap(([from, to]) =>
      [port, port - 1].map((asked): Question => ({
        from: nameOf(from!),
        address: to!.address,
        port: asked,
        protocol: 'SCTP',
        expected: false,
      })),
    )
    await vi.waitFor(
      async () =>
        expect(await this.prober.ask(questions), 'the policy of this step is in force on both nodes').toEqual([
          { open: nameOf(far) },
          'silent',
          { open: nameOf(near) },
          'silent',
        ]),
      { timeout: inForceWithinMs, interval: 10 },
    )
  }

  /** What came of every cell, beside what the oracle says of the policies that were applied. */
  async verdicts(): Promise<Verdict[]> {
    const nodes = Object.fromEntries(
      this.#nodes.map(labNode).map(({ name, address, remote, bridge }) => [name, [address, remote, bridge]]),
    )
    const namespaces = Object.fromEntries(
      Object.entries(this.#namespaces).map(([name, labels]) => [
        name,
        { ...labels, 'kubernetes.io/metadata.name': name },
      ]),
    )
    return await verdictsOf(this.prober, this.#cells, { namespaces, nodes, pods: this.#pods, policies: this.#policies })
  }

  /** The cells that are wrong, as a table. */
  async differences(): Promise<string> {
    return await differencesOf(async () => await this.verdicts())
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.prober[Symbol.dispose]()
    this.api[Symbol.dispose]()
    await this.lab[Symbol.asyncDispose]()
  }

  /** Brings the prober everywhere, and shows the clients outside the way to the pods. */
  async #populate(): Promise<void> {
    for (const pod of this.#pods)
      if (pod.hostNetwork !== true) this.prober.addPlace(nameOf(pod), this.#namespaceOf(pod), ports)
    for (const { name, podCidr, address } of this.#nodes) {
      this.prober.addPlace(name, namespacePath(this.#files, parseNodeName(name)), ports)
      await this.lab.succeed(['outside', '--', 'ip', 'route', 'add', podCidr, 'via', address])
    }
    await this.lab.succeed(['outside', '--', 'ip', 'addr', 'add', `${outsiders['elsewhere']}/24`, 'dev', 'eth0'])
    this.prober.addPlace('outside', namespacePath(this.#files, 'outside'), ports)
    const services = new Map<string, string>()
    for (const { namespace, name } of pods) {
      const { spec } = (await this.api.request('GET', `/api/v1/namespaces/${namespace}/services/${name}`)) as {
        spec: { clusterIP: string }
      }
      services.set(`${namespace}/${name}`, spec.clusterIP)
    }
    this.#cells = cellsOf({ pods: this.pods, nodes: this.#nodes.map(labNode), services })
  }

  /** The pod's network namespace, through its node's view of the files. */
  #namespaceOf({ namespace, name, node }: Pod): string {
    const on = parseNodeName(node)
    const note = podRecordSchema.parse(
      JSON.parse(readFileSync(join(podRecordsDirectory(this.#files, on), podRecordFile({ namespace, name })), 'utf8')),
    )
    return `/proc/${readFileSync(nodePidFile(this.#files, on), 'utf8').trim()}/root/run/netns/${note.netns}`
  }
}

/** The labels as a merge patch that takes those away which are no more. */
function replacing(old: Labels, labels: Labels): Record<string, string | null> {
  return { ...Object.fromEntries(Object.keys(old).map((key) => [key, null])), ...labels }
}
