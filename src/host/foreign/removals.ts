// What a plan of removals is made of. Each part of the plan answers one, and they are carried out in their order.
import { quoteWord } from '../../kernel/shell-words.ts'
import { backendProgram, type IptablesBackend } from '../../iptables/iptables.ts'
import { restoreCommands } from '../../iptables/restore-text.ts'
import type { Family } from '../../net/address.ts'
import { removalCommand } from '../cleanup-files.ts'
import type { Owner } from './owners.ts'

export type Step =
  /** Text for iptables-restore: all of it or nothing. */
  | { readonly by: 'restore'; readonly backend: IptablesBackend; readonly family: Family; readonly text: string }
  | { readonly by: 'program'; readonly words: readonly string[] }
  | { readonly by: 'path'; readonly path: string }

export interface Removals {
  readonly steps: readonly Step[]
  /** What stays on purpose, and why: a sentence each. */
  readonly kept: readonly string[]
  /** Who has something here that stays because its program runs. */
  readonly held: readonly Owner[]
}

export function together(parts: readonly Removals[]): Removals {
  return {
    steps: parts.flatMap(({ steps }) => steps),
    kept: parts.flatMap(({ kept }) => kept),
    held: [...new Set(parts.flatMap(({ held }) => held))],
  }
}

/** As a person would type it. */
export function stepCommands(step: Step): string[] {
  if (step.by === 'restore') return restoreCommands(backendProgram(step.family, step.backend), step.text)
  return [step.by === 'path' ? removalCommand(step.path) : step.words.map(quoteWord).join(' ')]
}
