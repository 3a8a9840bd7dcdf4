// Starts the control plane: one process (control-process.ts) in a namespace of its own.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Lab } from './layout.ts'
import { isIn, startIn, thisProgram } from './processes.ts'

export async function startControlPlane(lab: Lab): Promise<void> {
  const pid = await startIn(lab, 'control', thisProgram('lab', 'control', '--name', lab.name), {
    log: controlPlaneLog(lab),
  })
  writeFileSync(pidFile(lab), `${pid}\n`)
}

export function isControlPlaneRunning(lab: Lab): boolean {
  try {
    return isIn(lab, 'control', Number(readFileSync(pidFile(lab), 'utf8')))
  } catch {
    return false
  }
}

export function controlPlaneLog(lab: Lab): string {
  return join(lab.logs, 'control.log')
}

function pidFile(lab: Lab): string {
  return join(lab.directory, 'control.pid')
}
