// The control plane as the machine sees it: one process in a namespace of its own (control-process.ts), started here.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Lab, namespacePath } from './layout.ts'
import { isIn, startDetached, thisProgram } from './processes.ts'

export function startControlPlane(lab: Lab): void {
  const command = ['nsenter', `--net=${namespacePath(lab, 'control')}`, '--', ...thisProgram('lab', 'control', '--name', lab.name)]
  const pid = startDetached(command, { log: controlPlaneLog(lab) })
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
