import type { Logger } from 'pino'
import type { CommandObserver } from './command-observer.ts'
import type { ShellWorkers } from './shell-workers.ts'

/** How programs run in one network namespace: shared by all that drive programs there. */
export interface NamespaceShell {
  /** The words that lead a command into the namespace: `nsenter --net=PATH`, or none for our own. */
  readonly enter: readonly string[]
  /** For commands of a few ms: a pod's ADD waits for them. */
  readonly quick: ShellWorkers
  /** For commands that walk whole tables. */
  readonly slow: ShellWorkers
  readonly log: Logger
  readonly observe: CommandObserver | undefined
}
