// Words as a shell reads them back.

/** The word as it can stand in a shell command: as it is where that is safe, else in single quotes. */
export function quoteWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`
}
