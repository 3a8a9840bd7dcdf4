// Files that are whole or absent, whenever the process dies.
import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from 'node:fs'

/**
 * Writes beside the path, syncs, renames over it. Synchronous on purpose: our files lie on /run (tmpfs), where this
 * takes 0.02 ms, and five trips through the thread pool take longer and queue behind one another when a hundred pods
 * start at once.
 */
export function writeDurably(path: string, text: string): void {
  const temporary = `${path}.tmp`
  try {
    const file = openSync(temporary, 'w', 0o600)
    try {
      writeSync(file, text)
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
    renameSync(temporary, path)
  } catch (error) {
    rmSync(temporary, { force: true })
    throw error
  }
}
