// `lab down`: removes everything of a lab from the machine, even if some of its processes were killed before.
import { existsSync, rmdirSync, rmSync } from 'node:fs'
import { type Lab, labsDirectory } from './layout.ts'
import { membersOf, removeNamespace } from './namespaces.ts'
import { killAllIn } from './processes.ts'

/** @returns whether there was anything to remove. */
export async function takeDown(lab: Lab): Promise<boolean> {
  const members = membersOf(lab)
  const found = members.length > 0 || existsSync(lab.directory)
  await killAllIn(lab, members)
  for (const member of members) await removeNamespace(lab, member)
  rmSync(lab.directory, { recursive: true, force: true })
  removeIfLast()
  return found
}

/** Removes the directory of all labs if it is empty. Another lab may create or remove it at the same time. */
function removeIfLast(): void {
  try {
    rmdirSync(labsDirectory)
  } catch (error) {
    if (!['ENOENT', 'ENOTEMPTY'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
  }
}
