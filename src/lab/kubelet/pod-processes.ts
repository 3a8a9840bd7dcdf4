// Processes by the network namespace they are in. The kubelet's /proc shows its node's processes alone: all of them are
// ours.
import { statSync } from 'node:fs'
import { isRunning, pidsInProc } from '../processes.ts'

/**
 * Kills what is left in a pod's namespace: a process that left its container's process group would keep the namespace
 * alive.
 */
export function killProcessesIn(netns: string): void {
  const inode = inodeOf(`/run/netns/${netns}`)
  for (const pid of pidsInProc()) if (inode !== undefined && inodeOf(`/proc/${pid}/ns/net`) === inode) killQuietly(pid)
}

/** Kills every process of the node but PID 1 and ourselves: what an earlier kubelet left running. */
export function killLeftovers(): void {
  for (const pid of pidsInProc()) if (pid !== 1 && pid !== process.pid && isRunning(pid)) killQuietly(pid)
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It ended first.
  }
}

function inodeOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.ino
}
