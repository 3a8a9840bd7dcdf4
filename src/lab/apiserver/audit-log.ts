// Records which user used which verb on which resource: each combination once, as a line of JSON. An RBAC rule that no
// line needs can be removed.
import { appendFileSync } from 'node:fs'
import type { User } from './authentication.ts'
import { type Intent, pathOf } from './authorization.ts'

export interface AuditLine {
  readonly user: string
  readonly verb: string
  /** '' for the core group. */
  readonly group: string
  /** "pods" or "pods/status". */
  readonly resource: string
}

export class AuditLog {
  readonly #file: string | undefined
  readonly #seen = new Set<string>()

  /** @param file lines are appended to it; undefined records nothing. */
  constructor(file: string | undefined) {
    this.#file = file
  }

  /** Records an allowed request. */
  note(user: User, { verb, resource, subresource }: Intent): void {
    if (this.#file === undefined) return
    const fields: AuditLine = { user: user.name, verb, group: resource.group, resource: pathOf(resource, subresource) }
    const line = JSON.stringify(fields)
    if (this.#seen.has(line)) return
    this.#seen.add(line)
    appendFileSync(this.#file, `${line}\n`)
  }
}
