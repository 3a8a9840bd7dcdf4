// The attachments on disk, one file each: what a restarted agent finds of the pods it wired.
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Logger } from 'pino'
import { decodeAttachment, encodeAttachment, type PodAttachment } from './attachment-codec.ts'
import { writeDurably } from '../kernel/durable-file.ts'

/** What CNI never has two of at a time: network, container and interface in one string. */
export function attachmentKey(of: { network: string; containerId: string; podInterface: string }): string {
  return `${of.network}/${of.containerId}/${of.podInterface}`
}

export class AttachmentStore {
  readonly #directory: string
  readonly #log: Logger

  constructor(directory: string, log: Logger) {
    this.#directory = directory
    this.#log = log
  }

  /**
   * All attachments on disk. A file that cannot be read is reported and set aside as `*.unreadable`: its pod's veth
   * then counts as one without an attachment and is removed. Halves of a write that was cut off are removed.
   */
  load(): PodAttachment[] {
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 })
    const found: PodAttachment[] = []
    for (const name of readdirSync(this.#directory)) {
      const path = join(this.#directory, name)
      if (name.endsWith('.tmp')) rmSync(path, { force: true })
      if (!name.endsWith('.json')) continue
      try {
        found.push(decodeAttachment(readFileSync(path, 'utf8')))
      } catch (error) {
        renameSync(path, `${path}.unreadable`)
        this.#log.error(
          `${path} is no attachment (${error instanceof Error ? error.message : String(error)}); it is kept as ${name}.unreadable, and its pod has to be started again`,
        )
      }
    }
    return found
  }

  has(attachment: PodAttachment): boolean {
    return existsSync(this.#pathOf(attachment))
  }

  save(attachment: PodAttachment): void {
    // Made once more where someone has emptied /run: 0.01 ms, and no ADD fails for it.
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 })
    writeDurably(this.#pathOf(attachment), encodeAttachment(attachment))
  }

  delete(attachment: PodAttachment): void {
    rmSync(this.#pathOf(attachment), { force: true })
  }

  #pathOf(attachment: PodAttachment): string {
    // Container ids and network names may be longer than a file name.
    const digest = createHash('sha256').update(attachmentKey(attachment)).digest('hex')
    return join(this.#directory, `${digest.slice(0, 32)}.json`)
  }
}
