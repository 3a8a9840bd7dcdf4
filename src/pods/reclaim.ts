// What the runtime forgot to take away, or could not since we were not there: found by looking at the kernel, at the
// start, each minute, and when a wire is gone.
import { ourGroup } from '../kernel/kernel.ts'
import type { Link } from '../kernel/observed.ts'
import { type InterfaceName, parseInterfaceName } from '../net/interface-name.ts'
import type { PodAttachment } from './attachment-codec.ts'
import { attachmentKey } from './attachment-store.ts'
import { type CommandQueue, subjectsOf } from './command-queue.ts'
import type { PodContext } from './context.ts'
import { detach } from './detach.ts'
import { netnsIsGone } from './netns-identity.ts'

export interface Findings {
  readonly dead: readonly PodAttachment[]
  /** Keys of attachments whose namespace has no path though its veth lives: dead if it is the same next time. */
  readonly suspects: ReadonlySet<string>
  /** Host veths of ours that belong to no attachment. */
  readonly orphans: readonly InterfaceName[]
}

/**
 * Pure. The kernel removes a veth with its namespace, so an attachment without its host veth is dead. A path that is
 * gone while the veth lives may be a namespace that something else still holds, or one that is being taken down right
 * now: only the second look counts. Inode numbers are reused and prove nothing.
 * @param earlier the attachments known before the links were read: a later one may have a veth that the reading missed
 * @param expected host veths that are an attachment's, an ADD's under way, or on their way out
 */
export function findDead(observed: {
  earlier: readonly PodAttachment[]
  links: readonly Link[]
  expected: ReadonlySet<string>
  suspects: ReadonlySet<string>
  isGone: (netns: string) => boolean
}): Findings {
  const { earlier, links, expected, suspects, isGone } = observed
  const ours = links.filter((link) => link.type === 'veth' && link.group === ourGroup)
  const alive = new Set(ours.map((link) => link.name))
  const unwired = earlier.filter(({ hostInterface }) => !alive.has(hostInterface))
  const doubtful = earlier.filter(({ hostInterface, netns }) => alive.has(hostInterface) && isGone(netns))
  return {
    dead: [...unwired, ...doubtful.filter((attachment) => suspects.has(attachmentKey(attachment)))],
    suspects: new Set(doubtful.map(attachmentKey).filter((key) => !suspects.has(key))),
    orphans: ours.filter((link) => !expected.has(link.name)).map((link) => parseInterfaceName(link.name)),
  }
}

export class Reclaim {
  readonly #context: PodContext
  readonly #queue: CommandQueue
  #suspects: ReadonlySet<string> = new Set()

  constructor(context: PodContext, queue: CommandQueue) {
    this.#context = context
    this.#queue = queue
  }

  /** @returns how many attachments were dead. @throws when one could not be taken away; the next round tries again. */
  async run(): Promise<number> {
    const { kernel, state, log } = this.#context
    const earlier = [...state.attachments.values()]
    // A DEL may cut a veth off, and it may be deleted, while the links are read: what was expected before is then still
    // among them.
    const before = expectedVeths(this.#context)
    const links = await kernel.links()
    const { dead, suspects, orphans } = findDead({
      earlier,
      links,
      expected: new Set([...before, ...expectedVeths(this.#context)]),
      suspects: this.#suspects,
      isGone: netnsIsGone,
    })
    this.#suspects = suspects
    if (orphans.length > 0) {
      log.warn({ interfaces: orphans }, 'veths of ours without an attachment are removed')
      await this.#context.retired.retire(
        orphans.map((hostInterface) => ({ hostInterface, netns: undefined, netnsId: undefined })),
      )
    }
    const isStill = (attachment: PodAttachment): boolean =>
      state.attachments.get(attachmentKey(attachment)) === attachment
    // What a command is about is left to it.
    const idle = dead.filter((attachment) => isStill(attachment) && !this.#queue.isBusy(subjectsOf(attachment)))
    if (idle.length === 0) return 0
    for (const { containerId, netns, addresses, pod } of idle)
      log.info(
        { container: containerId, netns, addresses, pod: pod && `${pod.namespace}/${pod.name}` },
        'the pod is gone without a DEL; its address is taken back',
      )
    await this.#queue.run(idle.flatMap(subjectsOf), () => detach(this.#context, idle.filter(isStill)))
    return idle.length
  }
}

function expectedVeths({ state, retired }: PodContext): Set<string> {
  return new Set([
    ...state.wiring,
    ...retired.pending(),
    ...Array.from(state.attachments.values(), ({ hostInterface }) => hostInterface),
  ])
}
