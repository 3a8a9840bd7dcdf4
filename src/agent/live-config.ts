// The configuration as it is in force. A ConfigMap changes under a running agent: what can be followed is followed, and
// what cannot is told of, in one sentence that stands until the agent restarts or the change is taken back.
import { statSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import type { Logger } from 'pino'
import { type ConfigKey, configKeys } from './config-keys.ts'
import { type AgentConfig, ConfigError } from './config.ts'
import { Reports } from '../runtime/reports.ts'

/** kubelet takes a minute to bring a changed ConfigMap to a pod; a look costs one stat a file. */
const lookEveryMs = 2000

export interface LiveConfigParts {
  readonly config: AgentConfig
  /** Reads it anew. @throws {ConfigError} */
  readonly load: () => AgentConfig
  /** The file that was named to the agent; the other one that may change is named in the configuration itself. */
  readonly file: string | undefined
  readonly log: Logger
}

export class LiveConfig {
  readonly #load: () => AgentConfig
  readonly #file: string | undefined
  readonly #log: Logger
  readonly #reports: Reports
  readonly #listeners: (() => void)[] = []
  #current: AgentConfig
  #seen: string

  constructor({ config, load, file, log }: LiveConfigParts) {
    this.#current = config
    this.#load = load
    this.#file = file
    this.#log = log
    this.#reports = new Reports(log)
    this.#seen = this.#files()
  }

  /** Never changes itself: whoever works with several keys at once keeps it for that long. */
  get current(): AgentConfig {
    return this.#current
  }

  /** Calls back when something of {@link current} is another. */
  onChange(listener: () => void): void {
    this.#listeners.push(listener)
  }

  /** Until the signal. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await sleep(lookEveryMs, undefined, { signal }).catch(() => undefined)
      this.look()
    }
  }

  /** One look at the files, which are read only where they are not as they were. */
  look(): void {
    const files = this.#files()
    if (files === this.#seen) return
    this.#seen = files
    try {
      this.#adopt(this.#load())
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      this.#reports.say('configuration', [`The changed configuration is not used: ${error.message}`])
    }
  }

  #adopt(next: AgentConfig): void {
    const changed = keys.filter((key) => !isDeepStrictEqual(next[key], this.#current[key]))
    const live = changed.filter((key) => isLive(key))
    this.#reports.say(
      'configuration',
      changed
        .filter((key) => !isLive(key))
        .map(
          (key) =>
            `Option ${key} is ${text(next[key])} now and ${text(this.#current[key])} in force: it changes when the agent is restarted`,
        ),
    )
    this.#reports.say('what has no meaning in it', next.warnings)
    if (live.length === 0) return
    this.#current = { ...this.#current, ...Object.fromEntries(live.map((key) => [key, next[key]])) }
    this.#log.info(
      { options: Object.fromEntries(live.map((key) => [key, next[key]])) },
      `the configuration has changed: ${live.map((key) => `${key} is ${text(next[key])} now`).join(', ')}`,
    )
    for (const listener of this.#listeners) listener()
  }

  /** A ConfigMap is changed by exchanging a link, an editor by renaming: the inode tells. */
  #files(): string {
    return [this.#file, this.#current.kubeProxyConfig]
      .flatMap((path) => {
        const status = path === undefined ? undefined : statSync(path, { throwIfNoEntry: false })
        return status === undefined ? [] : [`${status.dev}:${status.ino}:${status.size}:${status.mtimeMs}`]
      })
      .join(' ')
  }
}

const keys = Object.keys(configKeys) as ConfigKey[]

function isLive(key: ConfigKey): boolean {
  return 'live' in configKeys[key]
}

function text(value: unknown): string {
  return value === undefined ? 'not set' : typeof value === 'string' ? value : JSON.stringify(value)
}
