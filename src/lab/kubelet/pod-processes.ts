// Finds processes by their network namespace. The kubelet's /proc shows only processes of its node, which are all ours.
import { statSync } from 'node:fs'
import { isRunning, pidsInProc } from '../processes.ts'

/**
 * Kills the processes in a pod's namespace. A process that left its container's process group would keep the namespace
 * alive.
 */
export function killProcessesIn(netns: string): void {
  const inode = inodeOf(`/run/netns/${netns}`)
  for (const pid of pidsInProc()) if (inode !== undefined && inodeOf(`/proc/${pid}/ns/net`) === inode) killQuietly(pid)
}

/** Kills every process of the node but PID 1 and this one: those that a previous kubelet left. */
export function killLeftovers(): void {
  for (const pid of pidsInProc()) if (pid !== 1 && pid !== process.pid && isRunning(pid)) killQuietly(pid)
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // The process has ended meanwhile.
  }
}

function inodeOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.ino
}
