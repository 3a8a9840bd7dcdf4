// nftables in memory, as far as this room speaks it: so that what a text does can be told without a kernel. It refuses
// what the kernel refuses.
import { policyTable as table } from './table.ts'

interface ScratchChain {
  readonly declaration: string
  readonly rules: string[]
}

export class ScratchTable {
  exists = false
  readonly sets = new Map<string, { declaration: string; elements: Map<string, string> }>()
  readonly chains = new Map<string, ScratchChain>()

  /** @throws {Error} for a line that nft would refuse */
  apply(text: string): void {
    for (const line of text.split('\n').filter(Boolean)) this.#line(line)
    this.#check()
  }

  #line(line: string): void {
    const [, verb = '', kind = '', rest = ''] =
      new RegExp(`^(add|delete|flush) (\\w+) ${table} ?(.*)$`, 's').exec(line) ?? []
    const [, name = '', body = ''] = /^(\S*) ?(.*)$/s.exec(rest) ?? []
    switch (`${verb} ${kind}`) {
      case 'add table':
        this.exists = true
        return
      case 'delete table':
        if (!this.exists) throw new Error('no table')
        this.exists = false
        this.sets.clear()
        this.chains.clear()
        return
      case 'add set':
      case 'add map': {
        const [, declaration = '', elements = ''] = /^{ (.*?)(?: elements = { (.*) };)? }$/.exec(body) ?? []
        if (this.sets.has(name)) throw new Error(`exists: ${line}`)
        this.sets.set(name, { declaration, elements: entries(elements) })
        return
      }
      case 'delete set':
      case 'delete map':
        if (!this.sets.delete(name)) throw new Error(`missing: ${line}`)
        return
      case 'add chain':
        if (this.chains.has(name)) throw new Error(`exists: ${line}`)
        this.chains.set(name, { declaration: body.slice(2, -2), rules: [] })
        return
      case 'flush chain':
        this.#chain(name).rules.length = 0
        return
      case 'delete chain':
        this.#chain(name)
        this.chains.delete(name)
        return
      case 'add rule':
        this.#chain(name).rules.push(body)
        return
      case 'add element':
        for (const [element, verdict] of entries(body.slice(2, -2))) {
          const set = this.#set(name)
          if (set.elements.has(element)) throw new Error(`exists: ${line}`)
          set.elements.set(element, verdict)
        }
        return
      case 'delete element':
        for (const element of entries(body.slice(2, -2)).keys())
          if (!this.#set(name).elements.delete(element)) throw new Error(`missing: ${line}`)
        return
      default:
        throw new Error(`not understood: ${line}`)
    }
  }

  #set(name: string): { elements: Map<string, string> } {
    const set = this.sets.get(name)
    if (set === undefined) throw new Error(`missing: set ${name}`)
    return set
  }

  #chain(name: string): ScratchChain {
    const chain = this.chains.get(name)
    if (!this.exists || chain === undefined) throw new Error(`missing: chain ${name}`)
    return chain
  }

  /** What is named has to be there when all is done. */
  #check(): void {
    const rules = [...this.chains.values()].flatMap((chain) => chain.rules)
    const jumps = [...this.sets.values()].flatMap(({ elements }) => [...elements.values()].filter(Boolean))
    for (const text of [...rules, ...jumps]) {
      for (const [, set = ''] of text.matchAll(/@(\S+)/g)) this.#set(set)
      for (const [, chain = ''] of text.matchAll(/(?:jump|goto) (\S+)/g)) this.#chain(chain)
    }
  }
}

function entries(text: string): Map<string, string> {
  return new Map(
    text === ''
      ? []
      : text
          .split(', ')
          .map((each) => each.split(' : ') as [string, string?])
          .map(([element, verdict = '']) => [element, verdict]),
  )
}
