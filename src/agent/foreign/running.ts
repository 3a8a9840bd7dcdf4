// Which programs of others run on this node: what they have is no leftover, and they would bring it back.
import { readdirSync, readFileSync } from 'node:fs'
import { type Owner, programsOf } from './owners.ts'

export interface RunningPrograms {
  readonly owners: ReadonlySet<Owner>
  /** k3s and rke2 carry flannel, kube-proxy and kube-router's policies inside, or not: nothing tells from outside. */
  readonly distribution: string | undefined
  /** False in a pod without hostPID: then nobody is known to run. */
  readonly ofHost: boolean
}

export function runningPrograms(): RunningPrograms {
  const names = readdirSync('/proc').filter((name) => /^\d+$/.test(name)).flatMap(nameOf)
  return {
    owners: new Set(names.flatMap((name) => programsOf[name] ?? [])),
    distribution: names.find((name) => /^(k3s|rke2)(-|$)/.test(name)),
    // A thread of the kernel's is seen from the first PID namespace alone.
    ofHost: names.includes('kthreadd'),
  }
}

function nameOf(pid: string): string[] {
  try {
    return [readFileSync(`/proc/${pid}/comm`, 'utf8').trim()]
  } catch {
    // It has ended meanwhile.
    return []
  }
}
