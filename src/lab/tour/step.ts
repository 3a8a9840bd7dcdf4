// A step of the tour: it tries one thing, reports the result, and shows the kernel state that caused it.
import type { Tour } from './tour.ts'

export interface Step {
  readonly title: string
  /** Rejects when the step could not be tried. */
  run(tour: Tour): Promise<Evidence>
}

export interface Evidence {
  /** Whether the result is the expected one. */
  readonly ok: boolean
  /** "tour-a (172.30.1.2, node1) asks tour-b (172.30.1.3, node1)". */
  readonly tried: string
  /** "tour-b answered and saw 172.30.1.2". */
  readonly happened: string
  readonly exhibits: readonly Exhibit[]
}

/** The output of a command that shows kernel state. */
export interface Exhibit {
  /** A member or pod of the lab. */
  readonly where: string
  /** The command line, for pasting into a shell there. */
  readonly command: string
  readonly lines: readonly string[]
}

/** Combines the evidence of several attempts. */
export function allOf(parts: readonly Evidence[]): Evidence {
  return {
    ok: parts.every(({ ok }) => ok),
    tried: parts.map(({ tried }) => tried).join('; '),
    happened: parts.map(({ happened }) => happened).join('; '),
    exhibits: parts.flatMap(({ exhibits }) => exhibits),
  }
}
