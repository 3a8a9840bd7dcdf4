// The attachments on disk, one file each: what a restarted agent finds of the pods it wired.
import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Logger } from 'pino'
import { decodeAttachment, encodeAttachment, type PodAttachment } from './attachment-codec.ts'
import { writeDurably } from '../kernel/durable-file.ts'

export class AttachmentStore {
  readonly #directory: string
  readonly #log: Logger
  /** Bytes: all files are looked at every other second. */
  readonly #sizes = new WeakMap<PodAttachment, number>()

  constructor(directory: string, log: Logger) {
    this.#directory = directory
    this.#log = log
  }

  /**
   * Reads all attachments on disk. A file that cannot be read is reported and set aside as `*.unreadable`: its
   * attachment is then rebuilt, where its pod runs. Halves of a write that was cut off are removed.
   */
  load(): PodAttachment[] {
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 })
    const found: PodAttachment[] = []
    for (const name of readdirSync(this.#directory)) {
      const path = join(this.#directory, name)
      if (name.endsWith('.tmp')) rmSync(path, { force: true })
      if (!name.endsWith('.json')) continue
      try {
        const text = readFileSync(path, 'utf8')
        const attachment = decodeAttachment(text)
        // Another version may have written it with other fields.
        this.#sizes.set(attachment, Buffer.byteLength(text))
        found.push(attachment)
      } catch (error) {
        renameSync(path, `${path}.unreadable`)
        this.#log.error(
          `${path} is no attachment (${error instanceof Error ? error.message : String(error)}); it is kept as ${name}.unreadable, and rebuilt where its pod runs`,
        )
      }
    }
    return found
  }

  /** Whether the file is there with as many bytes as were written: one that was cut off counts as missing. */
  has(attachment: PodAttachment): boolean {
    const found = statSync(this.#pathOf(attachment), { throwIfNoEntry: false })
    return found !== undefined && found.size === this.#sizeOf(attachment)
  }

  save(attachment: PodAttachment): void {
    // Made once more where someone has emptied /run: 0.01 ms, and no ADD fails for it.
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 })
    writeDurably(this.#pathOf(attachment), encodeAttachment(attachment))
  }

  /** Removes the file of an earlier state of the attachment, where that had another name. */
  deleteFormer(former: PodAttachment, now: PodAttachment): void {
    if (this.#pathOf(former) !== this.#pathOf(now)) this.delete(former)
  }

  delete(attachment: PodAttachment): void {
    rmSync(this.#pathOf(attachment), { force: true })
  }

  #sizeOf(attachment: PodAttachment): number {
    const known = this.#sizes.get(attachment) ?? Buffer.byteLength(encodeAttachment(attachment))
    this.#sizes.set(attachment, known)
    return known
  }

  #pathOf(attachment: PodAttachment): string {
    // Container ids and network names may be longer than a file name.
    const { network, containerId, podInterface, hostInterface } = attachment
    const key = containerId === undefined ? hostInterface : `${network}/${containerId}/${podInterface}`
    const digest = createHash('sha256').update(key).digest('hex')
    return join(this.#directory, `${digest.slice(0, 32)}.json`)
  }
}
