// `lab down`: whatever was killed before, nothing of the lab is left on the machine.
import { existsSync, rmdirSync, rmSync } from 'node:fs'
import { type Lab, labsDirectory } from './layout.ts'
import { membersOf, removeNamespace } from './namespaces.ts'
import { killAllIn } from './processes.ts'

/** @returns whether there was anything. */
export async function takeDown(lab: Lab): Promise<boolean> {
  const members = membersOf(lab)
  const found = members.length > 0 || existsSync(lab.directory)
  await killAllIn(lab, members)
  for (const member of members) await removeNamespace(lab, member)
  rmSync(lab.directory, { recursive: true, force: true })
  removeIfLast()
  return found
}

/** Another lab may come or go at the same moment: it alone decides what happens to the directory then. */
function removeIfLast(): void {
  try {
    rmdirSync(labsDirectory)
  } catch (error) {
    if (!['ENOENT', 'ENOTEMPTY'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
  }
}
