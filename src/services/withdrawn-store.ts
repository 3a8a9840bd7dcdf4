// Frontends whose UDP flows have not ended yet, on disk: they are in no rule any more, and an agent that is killed
// between the removal of the rules and the deletion of the flows would know of them no longer.
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Logger } from 'pino'
import * as z from 'zod'
import { writeDurably } from '../kernel/durable-file.ts'
import type { Family } from '../net/address.ts'
import type { Withdrawn } from './udp-flows.ts'

const fileName = (family: Family): string => `withdrawn-udp-ipv${family}.json`
/** Names of the files in the state directory, also of those that a write left that was cut off. */
export const withdrawnFiles: readonly string[] = [fileName(4), fileName(6)].flatMap((name) => [name, `${name}.tmp`])

const format = z.object({ places: z.array(z.string()), targets: z.array(z.string()) })

export class WithdrawnStore {
  readonly #path: string
  readonly #log: Logger
  /** What the file holds; undefined where there is none. */
  #written: string | undefined

  constructor(parts: { stateDir: string; family: Family; log: Logger }) {
    this.#path = join(parts.stateDir, fileName(parts.family))
    this.#log = parts.log
  }

  /** Reads what an earlier agent has left. A damaged file costs flows that may go on, and is reported. */
  load(): Withdrawn {
    try {
      this.#written = readFileSync(this.#path, 'utf8')
      const { places, targets } = format.parse(JSON.parse(this.#written))
      return { places: new Set(places), targets: new Set(targets) }
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT'))
        this.#log.warn(
          { err: error },
          `${this.#path} is unreadable: UDP flows of frontends withdrawn before the restart may go on`,
        )
      return { places: new Set(), targets: new Set() }
    }
  }

  /** Writes what has to be remembered; no file where that is nothing. A disk that is full is no reason to write no rules. */
  save({ places, targets }: Withdrawn): void {
    const text = places.size === 0 ? undefined : JSON.stringify({ places: [...places], targets: [...targets] })
    if (text === this.#written) return
    try {
      if (text === undefined) rmSync(this.#path, { force: true })
      else writeDurably(this.#path, text)
      this.#written = text
    } catch (error) {
      this.#log.warn(
        { err: error },
        `${this.#path} could not be written: if the agent is killed now, UDP flows of withdrawn frontends may go on`,
      )
    }
  }
}
