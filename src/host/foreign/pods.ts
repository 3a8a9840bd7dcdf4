// Pods that another network made, as their runtime recorded them: libcni keeps DIR/results/NETWORK-CONTAINER-INTERFACE,
// which says where the pod's namespace is.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { netnsIsGone } from '../../pods/netns-identity.ts'

export interface PodRecord {
  readonly path: string
  readonly network: string
  readonly containerId: string
  /** Undefined where the record does not say where the pod's namespace is. */
  readonly lives: boolean | undefined
}

const recordShape = z.object({
  networkName: z.string(),
  containerId: z.string(),
  netns: z.string().startsWith('/').nullish(),
  // Records of libcni before 1.2 say it only here.
  result: z.object({ interfaces: z.array(z.object({ sandbox: z.string().nullish() })).nullish() }).nullish(),
})

/** What cannot be read tells of no pod that could be found again. */
export function podRecords(cniDir: string): PodRecord[] {
  const directory = join(cniDir, 'results')
  if (!existsSync(directory)) return []
  return readdirSync(directory)
    .toSorted()
    .flatMap((name) => {
      try {
        const path = join(directory, name)
        const {
          networkName: network,
          containerId,
          netns,
          result,
        } = recordShape.parse(JSON.parse(readFileSync(path, 'utf8')))
        const namespace =
          netns ?? result?.interfaces?.map(({ sandbox }) => sandbox ?? '').find((sandbox) => sandbox.startsWith('/'))
        return [{ path, network, containerId, lives: namespace === undefined ? undefined : !netnsIsGone(namespace) }]
      } catch {
        return []
      }
    })
}

/**
 * Whether a pod is to be taken for alive: as its record says, and without one if there is any wire that is not ours,
 * which could be its.
 */
export class ForeignPods {
  readonly records: readonly PodRecord[]
  readonly #foreignWires: boolean

  constructor(records: readonly PodRecord[], { foreignWires }: { foreignWires: boolean }) {
    this.records = records
    this.#foreignWires = foreignWires
  }

  live(network: string, containerId: string): boolean {
    const record = this.records.find((each) => each.network === network && each.containerId === containerId)
    return record?.lives ?? this.#foreignWires
  }

  /** Whether a pod lives of which no more is known than its container. */
  containerLives(containerId: string): boolean {
    const records = this.records.filter((each) => each.containerId === containerId)
    return records.length === 0 ? this.#foreignWires : records.some(({ lives }) => lives ?? this.#foreignWires)
  }

  get anyLive(): boolean {
    return this.#foreignWires || this.records.some(({ lives }) => lives === true)
  }
}
