// The one error of everything that runs a program.

/** How a command failed, told from exit state and stderr once, here; callers decide by it and never read text. */
export type FailureKind =
  /** The object is there already (EEXIST). */
  | 'exists'
  /** The object, device, namespace or file is not there (ENOENT, ENODEV, ESRCH). */
  | 'missing'
  /** Something else uses it (EBUSY), or another VXLAN holds the VNI and port. */
  | 'conflict'
  /** The tool refused the arguments: a defect of ours. */
  | 'usage'
  /** The program itself is not installed. */
  | 'not-installed'
  | 'timeout'
  /** A signal ended the tool: it crashed, or another program killed it. */
  | 'killed'
  | 'other'

export class CommandError extends Error {
  override readonly name = 'CommandError'
  readonly kind: FailureKind
  /** The command as a person could paste it. */
  readonly command: string
  /** What the tool said, trimmed; of one that is not installed, a sentence that names it. */
  readonly stderr: string

  constructor(failure: { kind: FailureKind; command: string; stderr: string; cause?: unknown }) {
    // Of a program that is missing, whatever it was to do: each of its uses fails, and a person reads of it once.
    super(failure.kind === 'not-installed' ? failure.stderr : `${failure.command}: ${failure.stderr || failure.kind}`, {
      cause: failure.cause,
    })
    this.kind = failure.kind
    this.command = failure.command
    this.stderr = failure.stderr
  }
}
