/**
 * A value that is well written and must not be used. What is wrong with it is a sort of its own, which its field does
 * not tell.
 */
export class MisfitError extends TypeError {
  override readonly name = 'MisfitError'
  /** As in {@link Problem}. */
  readonly reason: string

  constructor(message: string, reason: string) {
    super(message)
    this.reason = reason
  }
}
