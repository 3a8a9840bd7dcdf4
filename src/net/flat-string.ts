// Strings that the agent keeps by the ten thousand, such as names and keys of Services.

/**
 * Joins the pieces into one flat string. `+` and templates build a V8 cons string, which keeps every piece in memory
 * beside the whole.
 */
export function flatString(...pieces: readonly string[]): string {
  return pieces.join('')
}
