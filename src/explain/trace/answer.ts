// The edge: what a trace asks is read from the kernel as it is, and from the agent. Nothing is changed.
import { CommandError } from '../../kernel/command-error.ts'
import type { Iptables } from '../../iptables/iptables.ts'
import type { Kernel } from '../../kernel/kernel.ts'
import { readListeners } from '../../kernel/read-listeners.ts'
import { lookUpRoute } from '../../kernel/route-lookup.ts'
import { parseInterfaceName } from '../../net/interface-name.ts'
import { wireTable } from '../../policy/wires.ts'
import type { Found } from '../../agent/lookup-shape.ts'
import type { Answer, AnswerTo, Question, Walk } from './question.ts'

/** From so many chains on a whole table is read at once. */
const manyChains = 30

export class Answers {
  readonly #kernel: Kernel
  readonly #iptables: Iptables
  readonly #lookUp: (of: readonly string[]) => Promise<readonly Found[]>
  /** What was read once is not asked for again: a trace is of one moment. */
  readonly #known = new Map<string, Promise<Answer>>()
  readonly #chains = new Map<string, readonly string[] | undefined>()

  /** @param parts.lookUp asks the agent */
  constructor(parts: {
    kernel: Kernel
    iptables: Iptables
    lookUp: (of: readonly string[]) => Promise<readonly Found[]>
  }) {
    this.#kernel = parts.kernel
    this.#iptables = parts.iptables
    this.#lookUp = parts.lookUp
  }

  async drive<T>(walk: Walk<T>): Promise<T> {
    let step = walk.next()
    while (step.done !== true) step = walk.next(await this.#answer(step.value))
    return step.value
  }

  async #answer(question: Question): Promise<Answer> {
    if (question.kind === 'chains') return this.#chainsOf(question)
    const key = JSON.stringify(question)
    const answer = this.#known.get(key) ?? this.#read(question)
    this.#known.set(key, answer)
    return answer
  }

  async #read(question: Exclude<Question, { kind: 'chains' }>): Promise<Answer> {
    const kernel = this.#kernel
    switch (question.kind) {
      case 'route':
        return lookUpRoute(question)
      case 'links':
        return kernel.links()
      case 'linksIn':
        return orNone(kernel.linksIn(question.netns))
      case 'neighbours':
        return orNone(kernel.neighbours(question.family, parseInterfaceName(question.device)))
      case 'fdb':
        return orNone(kernel.fdb(parseInterfaceName(question.device)))
      case 'listeners':
        return readListeners(question)
      case 'nftTable':
        return question.name === wireTable ? this.#wires() : kernel.listNft(`table ${question.name}`)
      case 'sysctl':
        return (await kernel.readSysctl(question.key))?.trim()
      case 'lookup':
        return this.#lookUp(question.of)
    }
  }

  /** A node without nft, or with a kernel that has nothing of it for bridges, has no such table either. */
  async #wires(): Promise<AnswerTo<'nftTable'>> {
    try {
      return await this.#kernel.listNft(`table ${wireTable}`)
    } catch (error) {
      if (error instanceof CommandError) return undefined
      throw error
    }
  }

  async #chainsOf({ family, table, names }: Extract<Question, { kind: 'chains' }>): Promise<AnswerTo<'chains'>> {
    const keyOf = (name: string): string => `${family} ${table} ${name}`
    const unread = names.filter((name) => !this.#chains.has(keyOf(name)))
    if (unread.length >= manyChains) {
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

/** Of what is not there. */
async function orNone<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer
  } catch (error) {
    if (error instanceof CommandError && (error.kind === 'missing' || error.kind === 'other')) return undefined
    throw error
  }
}
