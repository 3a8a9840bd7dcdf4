// The agent's process on a node, in place of its DaemonSet's pod: installed, started, started again, and stopped while
// the Node says so.
import { spawn } from 'node:child_process'
import { closeSync, copyFileSync, existsSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { BackOff, type BackOffOptions } from '../../runtime/back-off.ts'
import { dist } from '../processes.ts'
import { pluginDirectory } from './cni-plugin.ts'
import type { KubeletLog } from './kubelet-log.ts'

export interface AgentSettings {
  readonly command: readonly string[]
  /** Takes what the agent prints. */
  readonly log: string
  /** Holds its pid while it runs. */
  readonly pidFile: string
}

/** As the kubelet backs off from a crashing container, but from 1 s; a run of 30 s makes it start over. */
const backOffOptions: BackOffOptions = { firstMs: 1000, longestMs: 60_000, forgottenAfterMs: 30_000 }
/** Between SIGTERM and SIGKILL. */
const graceMs = 10_000

export class AgentSupervisor {
  readonly #settings: AgentSettings
  readonly #log: KubeletLog
  #wanted = true
  /** Aborted when what is wanted changes, and with the kubelet. */
  #change = new AbortController()

  constructor(settings: AgentSettings, log: KubeletLog) {
    this.#settings = settings
    this.#log = log
  }

  set wanted(wanted: boolean) {
    if (wanted === this.#wanted) return
    this.#wanted = wanted
    this.#log.info(wanted ? 'the agent is to run' : 'the agent is to be stopped')
    this.#change.abort()
    this.#change = new AbortController()
  }

  async run(signal: AbortSignal): Promise<void> {
    let backOff = new BackOff(backOffOptions)
    while (!signal.aborted) {
      const change = AbortSignal.any([signal, this.#change.signal])
      if (!this.#wanted) {
        await sleep(2 ** 30, undefined, { signal: change }).catch(() => undefined)
        continue
      }
      installPlugins()
      backOff.succeeded()
      const ended = await this.#runOnce(change)
      if (change.aborted) {
        backOff = new BackOff(backOffOptions)
        continue
      }
      const pauseMs = Math.round(backOff.failed())
      this.#log.warn(`the agent ended with ${ended}; it starts again in ${pauseMs} ms`)
      await sleep(pauseMs, undefined, { signal: change }).catch(() => undefined)
    }
  }

  async #runOnce(stop: AbortSignal): Promise<string> {
    const { promise, resolve } = Promise.withResolvers<string>()
    const [file = '', ...args] = this.#settings.command
    const log = openSync(this.#settings.log, 'a', 0o644)
    const child = spawn(file, args, { cwd: '/', stdio: ['ignore', log, log] })
    closeSync(log)
    if (child.pid !== undefined) writeFileSync(this.#settings.pidFile, `${child.pid}\n`)
    child.on('error', (error) => resolve(error.message))
    child.on('exit', (code, signal) => resolve(signal ?? `exit code ${code}`))
    let killer: NodeJS.Timeout | undefined
    const onStop = (): void => {
      child.kill('SIGTERM')
      killer = setTimeout(() => child.kill('SIGKILL'), graceMs)
    }
    stop.addEventListener('abort', onStop, { once: true })
    const ended = await promise
    stop.removeEventListener('abort', onStop)
    clearTimeout(killer)
    rmSync(this.#settings.pidFile, { force: true })
    return ended
  }
}

/**
 * What `fairlead install` does on a real node: the CNI binary under its own name, and as `loopback` where there is
 * none.
 */
function installPlugins(): void {
  installPlugin('fairlead-cni')
  if (!existsSync(join(pluginDirectory, 'loopback'))) installPlugin('loopback')
}

/** Renamed into place: a runtime that executes it just now never sees half of it. */
function installPlugin(name: string): void {
  const temporary = join(pluginDirectory, `.${name}.tmp`)
  copyFileSync(join(dist, 'fairlead-cni'), temporary)
  renameSync(temporary, join(pluginDirectory, name))
}
