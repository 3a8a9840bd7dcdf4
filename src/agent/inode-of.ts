import { statSync } from 'node:fs'

/**
 * Undefined where nothing is at the path. An inode that is still open is not used again: sameness proves that the file
 * is ours.
 */
export function inodeOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.ino
}
