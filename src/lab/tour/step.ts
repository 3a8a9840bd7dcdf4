// A step of the tour: it tries one thing, says what happened, and shows the kernel state that made it so.
import type { Tour } from './tour.ts'

export interface Step {
  readonly title: string
  /** Rejects when it could not even try. */
  run(tour: Tour): Promise<Evidence>
}

export interface Evidence {
  /** Whether what happened is what should. */
  readonly ok: boolean
  /** Who did what: "tour-a (172.30.1.2) asks tour-b (172.30.1.3)". */
  readonly tried: string
  /** "tour-b answered and saw 172.30.1.2". */
  readonly happened: string
  readonly exhibits: readonly Exhibit[]
}

/** What a command said about the state of the kernel. */
export interface Exhibit {
  /** A member or pod of the lab. */
  readonly where: string
  /** As a person could type it there. */
  readonly command: string
  readonly lines: readonly string[]
}

/** Evidence of several tries in one. */
export function allOf(parts: readonly Evidence[]): Evidence {
  return {
    ok: parts.every(({ ok }) => ok),
    tried: parts.map(({ tried }) => tried).join('; '),
    happened: parts.map(({ happened }) => happened).join('; '),
    exhibits: parts.flatMap(({ exhibits }) => exhibits),
  }
}
