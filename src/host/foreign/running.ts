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

const distributions = /^(k3s|rke2)(-|$)/

export function runningPrograms(): RunningPrograms {
  const names = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap(nameOf)
  return {
    owners: new Set(names.flatMap((name) => programsOf[name] ?? [])),
    distribution: names.find((name) => distributions.test(name)),
    // A thread of the kernel's is seen from the first PID namespace alone; from that of a node of kind or k3d, which is
    // a container itself, its kubelet is.
    ofHost: names.some((name) => name === 'kthreadd' || name === 'kubelet' || distributions.test(name)),
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
