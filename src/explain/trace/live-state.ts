// The edge of a trace: answers its questions from the live kernel and from the agent. It changes nothing.
import { CommandError } from '../../kernel/command-error.ts'
import type { Iptables } from '../../iptables/iptables.ts'
import type { Kernel } from '../../kernel/kernel.ts'
import { readListeners } from '../../kernel/read-listeners.ts'
import { lookUpRoute } from '../../kernel/route-lookup.ts'
import { parseInterfaceName } from '../../net/interface-name.ts'
import { wireTable } from '../../policy/wires.ts'
import type { Found } from '../../agent/lookup-shape.ts'
import type { AnswerTo, TraceAnswer, TraceQuestion, TraceWalk } from './question.ts'

/** From this many chains on, one read of the whole table is cheaper than one process per chain. */
const wholeTableFrom = 30

export class LiveState {
  readonly #kernel: Kernel
  readonly #iptables: Iptables
  readonly #lookUp: (of: readonly string[]) => Promise<readonly Found[]>
  /** Answers by question: each state is read once, so that the trace shows one moment. */
  readonly #answers = new Map<string, Promise<TraceAnswer>>()
  readonly #chains = new Map<string, readonly string[] | undefined>()

  /** @param parts.lookUp asks the agent for names and addresses. */
  constructor(parts: {
    kernel: Kernel
    iptables: Iptables
    lookUp: (of: readonly string[]) => Promise<readonly Found[]>
  }) {
    this.#kernel = parts.kernel
    this.#iptables = parts.iptables
    this.#lookUp = parts.lookUp
  }

  /** Runs a walk to its end and returns its result. */
  async run<T>(walk: TraceWalk<T>): Promise<T> {
    let step = walk.next()
    while (step.done !== true) step = walk.next(await this.#answer(step.value))
    return step.value
  }

  async #answer(question: TraceQuestion): Promise<TraceAnswer> {
    if (question.kind === 'chains') return this.#chainsOf(question)
    const key = JSON.stringify(question)
    const answer = this.#answers.get(key) ?? this.#read(question)
    this.#answers.set(key, answer)
    return answer
  }

  async #read(question: Exclude<TraceQuestion, { kind: 'chains' }>): Promise<TraceAnswer> {
    const kernel = this.#kernel
    switch (question.kind) {
      case 'route':
        return lookUpRoute(question)
      case 'links':
        return kernel.links()
      case 'linksIn':
        return undefinedIfMissing(kernel.linksIn(question.netns))
      case 'neighbours':
        return undefinedIfMissing(kernel.neighbours(question.family, parseInterfaceName(question.device)))
      case 'fdb':
        return undefinedIfMissing(kernel.fdb(parseInterfaceName(question.device)))
      case 'listeners':
        return readListeners(question)
      case 'nftTable':
        return question.name === wireTable ? this.#bridgeTable() : kernel.listNft(`table ${question.name}`)
      case 'sysctl':
        return (await kernel.readSysctl(question.key))?.trim()
      case 'lookup':
        return this.#lookUp(question.of)
    }
  }

  /** Reads the table `bridge fairlead`. A node without nft or without nftables for bridges has no such table. */
  async #bridgeTable(): Promise<AnswerTo<'nftTable'>> {
    try {
      return await this.#kernel.listNft(`table ${wireTable}`)
    } catch (error) {
      if (error instanceof CommandError) return undefined
      throw error
    }
  }

  async #chainsOf({ family, table, names }: Extract<TraceQuestion, { kind: 'chains' }>): Promise<AnswerTo<'chains'>> {
    const keyOf = (name: string): string => `${family} ${table} ${name}`
    const unread = names.filter((name) => !this.#chains.has(keyOf(name)))
    if (unread.length >= wholeTableFrom) {
      const wanted = new Map(unread.map((name): [string, string[]] => [name, []]))
      await this.#iptables.readTable(family, table, (line) =>
        wanted.get(/^(?::|-A )(\S+)/.exec(line)?.[1] ?? '')?.push(line),
      )
      for (const [name, lines] of wanted) this.#chains.set(keyOf(name), lines.length === 0 ? undefined : lines)
    } else for (const name of unread) this.#chains.set(keyOf(name), await this.#iptables.rulesOf(family, table, name))
    return new Map(
      names.flatMap((name) => {
        const lines = this.#chains.get(keyOf(name))
        return lines === undefined ? [] : [[name, lines] as const]
      }),
    )
  }
}

async function undefinedIfMissing<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer
  } catch (error) {
    if (error instanceof CommandError && (error.kind === 'missing' || error.kind === 'other')) return undefined
    throw error
  }
}
