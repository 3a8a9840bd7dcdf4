// Runs a container: a process in the pod's network namespace, restarted according to the restart policy.
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { constants } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { BackOff, type BackOffOptions } from '../../runtime/back-off.ts'
import { dist } from '../processes.ts'
import type { Container, ContainerPort, Probe, RestartPolicy } from './pod-manifest.ts'
import { runProbe } from './probe.ts'

/** The state of a container in the pod's status. Times are ms since the epoch. */
export interface ContainerState {
  readonly name: string
  readonly ready: boolean
  readonly restarts: number
  readonly current: Waiting | Running | Terminated
  /** The previous run. */
  readonly last: Terminated | undefined
  /** It does not run again. */
  readonly finished: boolean
}
export interface Waiting {
  readonly kind: 'waiting'
  readonly reason: 'ContainerCreating' | 'CrashLoopBackOff'
}
export interface Running {
  readonly kind: 'running'
  readonly startedAt: number
}
export interface Terminated {
  readonly kind: 'terminated'
  readonly startedAt: number
  readonly finishedAt: number
  readonly exitCode: number
}

export interface ContainerSettings {
  /** Empty for the node's own network. */
  readonly netns: string
  /** The address for probes. */
  readonly host: string
  readonly environment: Readonly<Record<string, string>>
  readonly restartPolicy: RestartPolicy
  /** The file that receives the container's output. */
  readonly log: string
  readonly onChange: () => void
}

/** The kubelet's back-off starts at 10 s, which is too slow for a lab. After a run of a minute it starts over. */
const backOffOptions: BackOffOptions = { firstMs: 500, longestMs: 30_000, forgottenAfterMs: 60_000 }
/** The probe interval in ms, at most, until a container is ready for the first time: containers of a lab start fast. */
const startingProbeMs = 100

export class ContainerRunner {
  readonly #container: Container
  readonly #settings: ContainerSettings
  readonly #probe: Probe | undefined
  #state: ContainerState
  #child: ChildProcess | undefined

  constructor(container: Container, settings: ContainerSettings) {
    this.#container = container
    this.#settings = settings
    this.#probe = container.readinessProbe ?? echoProbe(container)
    this.#state = {
      name: container.name,
      ready: false,
      restarts: 0,
      current: { kind: 'waiting', reason: 'ContainerCreating' },
      last: undefined,
      finished: false,
    }
  }

  get state(): ContainerState {
    return this.#state
  }

  /**
   * Runs the container until it must not be restarted or is stopped. A stop runs the preStop hook and sends SIGTERM;
   * the caller sends SIGKILL by {@link kill}.
   */
  async run(stop: AbortSignal): Promise<void> {
    const backOff = new BackOff(backOffOptions)
    for (;;) {
      backOff.succeeded()
      const run = await this.#runOnce(stop)
      const finished =
        stop.aborted ||
        this.#settings.restartPolicy === 'Never' ||
        (this.#settings.restartPolicy === 'OnFailure' && run.exitCode === 0)
      this.#set({ current: run, ready: false, finished })
      if (finished) return
      this.#set({ current: { kind: 'waiting', reason: 'CrashLoopBackOff' }, last: run })
      await sleep(backOff.failed(), undefined, { signal: stop }).catch(() => undefined)
      if (stop.aborted) return this.#set({ current: run, finished: true })
      this.#set({ restarts: this.#state.restarts + 1 })
    }
  }

  kill(signal: 'SIGTERM' | 'SIGKILL'): void {
    const pid = this.#child?.pid
    if (pid === undefined) return
    try {
      // The container is a process group, so the children of a shell get the signal too.
      process.kill(-pid, signal)
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error
    }
  }

  async #runOnce(stop: AbortSignal): Promise<Terminated> {
    const startedAt = Date.now()
    const { promise, resolve } = Promise.withResolvers<number>()
    const [file = '', ...args] = enterCommand(this.#settings.netns, commandOf(this.#container))
    const log = openSync(this.#settings.log, 'a', 0o644)
    const env = {
      ...this.#settings.environment,
      ...Object.fromEntries(this.#container.env.map(({ name, value }) => [name, value ?? ''])),
    }
    this.#child = spawn(file, args, { detached: true, cwd: '/', stdio: ['ignore', log, log], env })
    closeSync(log)
    this.#child.on('error', () => resolve(127))
    this.#child.on('exit', (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])))
    const ended = new AbortController()
    const onStop = (): void => void this.#terminate(ended.signal)
    stop.addEventListener('abort', onStop, { once: true })
    if (stop.aborted) onStop()
    this.#set({ current: { kind: 'running', startedAt }, ready: this.#probe === undefined })
    const probing = this.#probe === undefined ? Promise.resolve() : this.#keepProbing(this.#probe, ended.signal)
    const exitCode = await promise
    ended.abort()
    stop.removeEventListener('abort', onStop)
    await probing
    this.#child = undefined
    return { kind: 'terminated', startedAt, finishedAt: Date.now(), exitCode }
  }

  /** Sends SIGTERM after the time that the preStop hook waits. */
  async #terminate(ended: AbortSignal): Promise<void> {
    const { seconds = 0 } = this.#container.lifecycle?.preStop?.sleep ?? {}
    if (seconds > 0) await sleep(seconds * 1000, undefined, { signal: ended }).catch(() => undefined)
    if (!ended.aborted) this.kill('SIGTERM')
  }

  async #keepProbing(probe: Probe, ended: AbortSignal): Promise<void> {
    const pause = async (ms: number): Promise<void> =>
      await sleep(ms, undefined, { signal: ended }).catch(() => undefined)
    const target = {
      host: this.#settings.host,
      ports: this.#container.ports,
      enter: (command: readonly string[]) => enterCommand(this.#settings.netns, command),
    }
    let [successes, failures, wasReady] = [0, 0, false]
    await pause(probe.initialDelaySeconds * 1000)
    while (!ended.aborted) {
      const ok = await runProbe(probe, target)
      if (ended.aborted) return
      successes = ok ? successes + 1 : 0
      failures = ok ? 0 : failures + 1
      if (successes >= probe.successThreshold) this.#set({ ready: true })
      else if (failures >= probe.failureThreshold) this.#set({ ready: false })
      wasReady ||= this.#state.ready
      await pause(wasReady ? probe.periodSeconds * 1000 : Math.min(probe.periodSeconds * 1000, startingProbeMs))
    }
  }

  #set(change: Partial<ContainerState>): void {
    if (Object.entries(change).every(([key, value]) => this.#state[key as keyof ContainerState] === value)) return
    this.#state = { ...this.#state, ...change }
    this.#settings.onChange()
  }
}

/** Returns the command that runs another one in a pod's network namespace, or on the node. */
function enterCommand(netns: string, command: readonly string[]): readonly string[] {
  return netns === '' ? command : ['ip', 'netns', 'exec', netns, ...command]
}

function commandOf(container: Container): string[] {
  if (container.command.length > 0) return [...container.command, ...container.args]
  const ports = echoPorts(container).map((port) => `${port.containerPort}/${port.protocol}`)
  return [process.execPath, join(dist, 'echo.mjs'), ...ports]
}

function echoPorts(container: Container): Pick<ContainerPort, 'containerPort' | 'protocol'>[] {
  return container.ports.length > 0
    ? container.ports
    : [
        { containerPort: 8080, protocol: 'TCP' },
        { containerPort: 8080, protocol: 'UDP' },
      ]
}

/** The echo server is ready when it accepts connections. */
function echoProbe(container: Container): Probe | undefined {
  const port =
    container.command.length > 0 ? undefined : echoPorts(container).find(({ protocol }) => protocol === 'TCP')
  return (
    port && {
      tcpSocket: { port: port.containerPort },
      initialDelaySeconds: 0,
      periodSeconds: 5,
      timeoutSeconds: 1,
      successThreshold: 1,
      failureThreshold: 3,
    }
  )
}

/** The PATH of containers; this Node.js comes first. */
export const containerPath = [
  dirname(process.execPath),
  '/usr/local/sbin',
  '/usr/local/bin',
  '/usr/sbin',
  '/usr/bin',
  '/sbin',
  '/bin',
].join(':')
