// Compares the kernel's veths with the attachments: at the start, each minute, and when a veth is gone. An attachment
// without its veth is what a runtime did not or could not take away, since we were not there. A veth without its
// attachment is an unfinished ADD, or a running pod whose record is lost (rebuild.ts).
import { ourGroup } from '../kernel/kernel.ts'
import { deleteLink } from '../kernel/link-changes.ts'
import type { Link } from '../kernel/observed.ts'
import { type InterfaceName, parseInterfaceName } from '../net/interface-name.ts'
import type { PodAttachment } from './attachment-codec.ts'
import { ifbName } from './bandwidth.ts'
import { type CommandQueue, subjectsOf } from './command-queue.ts'
import type { PodContext } from './context.ts'
import { detach } from './detach.ts'
import { netnsIsGone } from './netns-identity.ts'
import { traceOrphans } from './rebuild.ts'

export interface Findings {
  readonly dead: readonly PodAttachment[]
  /** Host interfaces of attachments whose namespace has no path though its veth lives: dead if it is the same next time. */
  readonly suspects: ReadonlySet<string>
  /** Host veths of ours that belong to no attachment. */
  readonly orphans: readonly Link[]
  /** Devices of ours that limited a pod's sending and whose veth is gone: a record that was lost took no notice. */
  readonly orphanIfbs: readonly InterfaceName[]
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
    dead: [...unwired, ...doubtful.filter((attachment) => suspects.has(attachment.hostInterface))],
    suspects: new Set(doubtful.map(({ hostInterface }) => hostInterface).filter((name) => !suspects.has(name))),
    orphans: ours.filter((link) => !expected.has(link.name)),
    orphanIfbs: orphanIfbs(links, expected),
  }
}

function orphanIfbs(links: readonly Link[], expected: ReadonlySet<string>): InterfaceName[] {
  const ifbs = links.filter(({ type, group }) => type === 'ifb' && group === ourGroup).map(({ name }) => name)
  if (ifbs.length === 0) return []
  const veths = [...links.filter(({ type }) => type === 'veth').map(({ name }) => name), ...expected]
  const used = new Set<string>(veths.map((name) => ifbName(name)))
  return ifbs.filter((name) => !used.has(name)).map(parseInterfaceName)
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
    const {
      dead,
      suspects,
      orphans,
      orphanIfbs: ifbs,
    } = findDead({
      earlier,
      links,
      expected: new Set([...before, ...expectedVeths(this.#context)]),
      suspects: this.#suspects,
      isGone: netnsIsGone,
    })
    this.#suspects = suspects
    await this.#settleOrphans(orphans, links)
    if (ifbs.length > 0) {
      log.warn({ interfaces: ifbs }, 'bandwidth devices of pods that are gone removed')
      await kernel.apply(ifbs.map(deleteLink))
    }
    const isStill = (attachment: PodAttachment): boolean =>
      state.attachments.get(attachment.hostInterface) === attachment
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

  /** Removes unfinished ADDs. A pod that may run gets its attachment back, or keeps its veth as it is. */
  async #settleOrphans(orphans: readonly Link[], links: readonly Link[]): Promise<void> {
    const { state, retired, log } = this.#context
    const findings = orphans.length === 0 ? [] : await traceOrphans(this.#context, orphans, links)
    // A command may have come to one of them meanwhile.
    const expected = expectedVeths(this.#context)
    const settled = orphans.map((host, i) => ({ hostInterface: parseInterfaceName(host.name), finding: findings[i] }))
    const open = settled.filter(({ hostInterface }) => !expected.has(hostInterface))
    const halfMade = open.filter(({ finding }) => finding?.kind === 'half-made')
    if (halfMade.length > 0) {
      log.warn({ interfaces: halfMade.map(({ hostInterface }) => hostInterface) }, 'unfinished ADDs removed')
      await retired.retire(
        halfMade.map(({ hostInterface }) => ({ hostInterface, netns: undefined, netnsId: undefined })),
      )
    }
    state.adopt(open.flatMap(({ finding }) => (finding?.kind === 'rebuilt' ? [finding.attachment] : [])))
    state.strays = new Map(
      open.flatMap(({ hostInterface, finding }) =>
        finding?.kind === 'unknown' ? [[hostInterface, finding.why] as const] : [],
      ),
    )
  }
}

function expectedVeths({ state, retired }: PodContext): Set<string> {
  return new Set([
    ...state.wiring,
    ...retired.pending(),
    ...Array.from(state.attachments.values(), ({ hostInterface }) => hostInterface),
  ])
}
