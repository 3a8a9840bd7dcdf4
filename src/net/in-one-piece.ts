// Text that is kept by the ten thousand: names and keys of Services.

/** As `+` and templates have it; but of what those make, the engine keeps the pieces beside the whole. */
export function inOnePiece(...pieces: readonly string[]): string {
  return pieces.join('')
}
