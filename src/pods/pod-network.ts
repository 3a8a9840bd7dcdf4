// The pod network of one node: what the agent holds of this room. CNI requests come in through `handle`; `reconcile`
// keeps bridge, ports and settings as they should be and takes back what dead pods left.
import type { Logger } from 'pino'
import type { ClusterPod } from '../cluster/pod.ts'
import type { Kernel } from '../kernel/kernel.ts'
import { add } from './add.ts'
import type { Attachment } from './attachment.ts'
import { mustRoute } from './bridge/observe.ts'
import { type PodNetworkPass, reconcileBridge } from './bridge/pass.ts'
import { check } from './check.ts'
import { CniError, cniCodes } from './cni/cni-error.ts'
import { type CniRequest, parseCniRequest } from './cni/cni-request.ts'
import { renderResult } from './cni/cni-result.ts'
import { renderError } from './cni/render-error.ts'
import { collectGarbage } from './collect-garbage.ts'
import { CommandQueue, subjectsOf } from './command-queue.ts'
import { inPhase, type PodContext } from './context.ts'
import { del } from './delete.ts'
import { followMtu } from './follow-mtu.ts'
import type { PoolStatus } from './ipam.ts'
import { NodeState, type PodNetworkSettings } from './node-state.ts'
import { type LeftDrift, type PodSideOptions, PodSideWatch } from './pod-side/watch.ts'
import { Reclaim } from './reclaim.ts'
import { resultOf } from './result.ts'
import { RetiredVeths } from './retired-veths.ts'
import { status, whenSettled } from './status.ts'

const reclaimEveryMs = 60_000

export interface PodNetworkOptions {
  readonly kernel: Kernel
  /** /run/fairlead */
  readonly stateDir: string
  /** Where libcni and the reference plugins keep their records. */
  readonly cniDir?: string
  readonly log: Logger
  readonly hooks: PodContext['hooks']
  /** Called with the names of running pods whose records were lost and have been rebuilt. */
  readonly rebuilt?: (pods: readonly string[]) => void
  /** Where not given, nothing in pods' namespaces is put back. */
  readonly podSide?: PodSideOptions
  /** ms of a clock that nobody sets and that goes on over a restart of ours: CLOCK_MONOTONIC where not given. */
  readonly clock?: () => number
  /**
   * Called at the end of each part of an ADD: parse, allocate, veth, namespace, persist, policy, host-ports, bandwidth.
   */
  readonly observe?: (phase: string, seconds: number) => void
  /**
   * Called when a request has been answered. The command is "unreadable" where none could be told; the code is the CNI
   * error's, 0 for success.
   */
  readonly observeRequest?: (command: string, code: number, seconds: number) => void
  /**
   * How long a command may take before it is answered with "try again" and undone: less than the kubelet's patience,
   * since a runtime holds a lock meanwhile.
   */
  readonly deadlineMs?: number
}

export class PodNetwork {
  readonly #context: PodContext
  readonly #queue = new CommandQueue()
  readonly #reclaim: Reclaim
  readonly #podSide: PodSideWatch
  readonly #observeRequest: (command: string, code: number, seconds: number) => void
  readonly #deadlineMs: number
  #reclaimedAt = -Infinity
  /** The end of the last reconcile in line. */
  #reconciling: Promise<unknown> = Promise.resolve()

  constructor(options: PodNetworkOptions) {
    const {
      kernel,
      stateDir,
      cniDir = '/var/lib/cni',
      log,
      hooks,
      rebuilt,
      podSide = { mayChange: () => undefined, repaired: () => {} },
      clock = monotonicMs,
      observe = () => {},
      observeRequest = () => {},
      deadlineMs = 60_000,
    } = options
    this.#context = {
      kernel,
      state: new NodeState({ stateDir, clock, log, ...(rebuilt && { rebuilt }) }),
      retired: new RetiredVeths(kernel, log),
      cniDir,
      hooks,
      log,
      clock,
      observe,
    }
    this.#reclaim = new Reclaim(this.#context, this.#queue)
    this.#podSide = new PodSideWatch(this.#context, this.#queue, podSide)
    this.#observeRequest = observeRequest
    this.#deadlineMs = deadlineMs
  }

  /** By host interface. */
  get attachments(): ReadonlyMap<string, Attachment> {
    return this.#context.state.attachments
  }

  /** What differs in pods' namespaces and stays so. */
  get leftDrift(): readonly LeftDrift[] {
    return this.#podSide.left
  }

  /** Looks for drift in the pods' namespaces until the signal, and puts back what may be. Never rejects. */
  async watchPods(signal: AbortSignal): Promise<void> {
    await this.#podSide.run(signal)
  }

  ipamStatus(): PoolStatus[] {
    return this.#context.state.pools()
  }

  /**
   * Takes over what an earlier agent left: its attachments, what it did not come to delete, and the ports and limits of
   * the pods that live.
   */
  async start(): Promise<void> {
    const { state, retired, hooks, log } = this.#context
    state.load()
    await retired.flush()
    await this.#reclaimNow()
    const renewed = [...state.attachments.values()].flatMap((attachment) => [
      ...(attachment.portMappings.length > 0 ? [hooks.hostPorts.add(attachment)] : []),
      ...(attachment.bandwidth === undefined ? [] : [hooks.bandwidth.add(attachment)]),
    ])
    for (const result of await Promise.allSettled(renewed))
      if (result.status === 'rejected')
        log.error(
          { err: result.reason as unknown },
          'a host port or bandwidth limit of a running pod could not be renewed',
        )
  }

  /**
   * Names the pods of attachments that were rebuilt without a name, or whose runtime gives none.
   * @param podsHere pods of this node with addresses of their own; asked only where one has no name.
   */
  namePods(podsHere: () => Iterable<ClusterPod>): void {
    this.#context.state.name(podsHere)
  }

  /** Puts back what is missing of our files. @returns whether any was */
  restoreFiles(): boolean {
    return this.#context.state.restoreFiles()
  }

  /** Says what the first {@link configure} waits for; ADD and STATUS tell it to the runtime. */
  waitFor(reason: string): void {
    const { state } = this.#context
    state.waitsFor = reason
    state.judge()
  }

  /**
   * The settings from now on; {@link reconcile} brings the kernel after them. A changed podCIDR renumbers gateway and
   * pool; pods keep the addresses they have.
   * @throws {PodCidrError} for podCIDRs that cannot serve pods; the former settings stay.
   */
  async configure(settings: PodNetworkSettings): Promise<void> {
    const { kernel, state } = this.#context
    state.routed = await mustRoute(kernel)
    state.configure(settings)
  }

  /**
   * One at a time.
   * @throws {BridgeConflictError} or {CommandError} when the bridge cannot be had; STATUS says so until it can.
   */
  async reconcile(): Promise<PodNetworkPass> {
    const turn = this.#reconciling.then(() => this.#reconcile())
    this.#reconciling = turn.then(
      () => undefined,
      () => undefined,
    )
    return turn
  }

  /** Answers one CNI request, as the CNI binary sent it; never rejects. */
  async handle(body: Buffer): Promise<{ status: number; body: string }> {
    let request: CniRequest | undefined
    let code = 0
    const begin = performance.now()
    try {
      request = await inPhase(this.#context, 'parse', () => parseCniRequest(body))
      return { status: 200, body: await this.#inTime(request) }
    } catch (error) {
      const { command, network } = request ?? {}
      code = error instanceof CniError ? error.code : cniCodes.internal
      // A runtime polls STATUS, and what it answers stands in the agent's own reports.
      this.#context.log[command === 'STATUS' ? 'debug' : 'warn'](
        { err: error, command, network },
        'a CNI request failed',
      )
      return { status: 500, body: renderError(error, request?.version) }
    } finally {
      this.#observeRequest(request?.command ?? 'unreadable', code, (performance.now() - begin) / 1000)
    }
  }

  /**
   * The answer comes in time; the work ends when it can, undone, and later commands about the container or its
   * namespace wait for it.
   */
  async #inTime(request: CniRequest): Promise<string> {
    const deadline = new AbortController()
    const late = new CniError(cniCodes.tryAgain, `${request.command} took longer than ${this.#deadlineMs / 1000} s`, {
      details: 'the node is overloaded, or a command hangs: see the log of the agent',
    })
    const { promise: expired, reject } = Promise.withResolvers<never>()
    const timer = setTimeout(() => {
      deadline.abort(late)
      reject(late)
    }, this.#deadlineMs)
    try {
      return await Promise.race([this.#dispatch(request, deadline.signal), expired])
    } finally {
      clearTimeout(timer)
    }
  }

  async #dispatch(request: CniRequest, signal: AbortSignal): Promise<string> {
    const alone = <T>(about: Parameters<typeof subjectsOf>[0], work: () => Promise<T>): Promise<T> =>
      this.#queue.run(subjectsOf(about), async () => (signal.throwIfAborted(), work()))
    switch (request.command) {
      case 'ADD':
        // Not in its turn: what it waits for may itself wait for a turn.
        await whenSettled(this.#context)
        return renderResult(resultOf(await alone(request, () => add(this.#context, request, signal))), request.version)
      case 'DEL':
        await alone(request, () => del(this.#context, request))
        return ''
      case 'CHECK':
        await alone(request, () => check(this.#context, request))
        return ''
      case 'GC':
        await this.#queue.exclusive(() => collectGarbage(this.#context, request))
        return ''
      case 'STATUS':
        status(this.#context)
        return ''
    }
  }

  async #reconcile(): Promise<PodNetworkPass> {
    const { kernel, state, clock } = this.#context
    const { settings } = state
    if (settings === undefined) return { changes: [], failures: [], problems: [], blocked: undefined }
    // Each minute for what only a second look tells; at once where a pod's wire is gone, which the kernel has told us
    // of.
    if (clock() - this.#reclaimedAt >= reclaimEveryMs || (await this.#hasUnwired())) await this.#reclaimNow()
    await followMtu(this.#context, this.#queue, settings.mtu)
    try {
      // What an ADD is making looks half made in the links, whatever has become of it when they are compared.
      const settled = new Set([...state.attachments.keys()].filter((name) => !state.wiring.has(name)))
      const links = await kernel.links()
      const pass = await reconcileBridge(this.#context, settings, { links, settled })
      this.#podSide.observe(links)
      state.bridgeProblem = pass.blocked
      return pass
    } catch (error) {
      state.bridgeProblem = error instanceof Error ? error.message : String(error)
      throw error
    } finally {
      state.judge()
    }
  }

  async #hasUnwired(): Promise<boolean> {
    const attachments = [...this.#context.state.attachments.values()]
    if (attachments.length === 0) return false
    const names = new Set((await this.#context.kernel.links()).map(({ name }) => name))
    return attachments.some(({ hostInterface }) => !names.has(hostInterface))
  }

  async #reclaimNow(): Promise<void> {
    this.#reclaimedAt = this.#context.clock()
    try {
      await this.#reclaim.run()
    } catch (error) {
      this.#context.log.error(
        { err: error },
        'what dead pods left could not be taken back; it is tried again in a minute',
      )
    }
  }
}

/** Since boot, as are the files in /run: an hour that the wall clock jumps is none that an address has rested. */
function monotonicMs(): number {
  return Number(process.hrtime.bigint() / 1_000_000n)
}
