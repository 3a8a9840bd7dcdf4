// Supervises the agent of a node, which has no DaemonSet in the lab: installs the CNI binary, starts the agent,
// restarts it when it ends, and stops it while an annotation of the Node says so.
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
  /** The file that receives the agent's output. */
  readonly log: string
  /** The file that contains the agent's pid while it runs. */
  readonly pidFile: string
}

/** The kubelet's back-off for crashing containers, but from 1 s. After a run of 30 s it starts over. */
const backOffOptions: BackOffOptions = { firstMs: 1000, longestMs: 60_000, forgottenAfterMs: 30_000 }
/** ms between SIGTERM and SIGKILL. */
const graceMs = 10_000

export class AgentSupervisor {
  readonly #settings: AgentSettings
  readonly #log: KubeletLog
  #wanted = true
  /** Aborted when `wanted` changes. */
  #change = new AbortController()

  constructor(settings: AgentSettings, log: KubeletLog) {
    this.#settings = settings
    this.#log = log
  }

  set wanted(wanted: boolean) {
    if (wanted === this.#wanted) return
    this.#wanted = wanted
    this.#log.info(wanted ? 'starting the agent' : 'stopping the agent')
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
      this.#log.warn({ ended, pauseMs }, 'agent ended; restarting')
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

/** Does what `fairlead install` does on a real node: installs the CNI binary, and `loopback` if there is none. */
function installPlugins(): void {
  installPlugin('fairlead-cni')
  if (!existsSync(join(pluginDirectory, 'loopback'))) installPlugin('loopback')
}

/** Installs by rename, so that a runtime that executes the file at this moment never sees half of it. */
function installPlugin(name: string): void {
  const temporary = join(pluginDirectory, `.${name}.tmp`)
  copyFileSync(join(dist, 'fairlead-cni'), temporary)
  renameSync(temporary, join(pluginDirectory, name))
}
