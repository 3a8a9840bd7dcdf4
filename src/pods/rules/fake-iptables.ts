// iptables as far as our rules use it, for tests that want many states quickly; the real one is in test/netns.
import { CommandError } from '../../kernel/command-error.ts'
import type { Iptables } from '../../iptables/iptables.ts'
import type { Kernel } from '../../kernel/kernel.ts'
import type { UdpFlow, UdpFlowFilter } from '../../kernel/udp-flow.ts'
import { type Family, familyOf } from '../../net/address.ts'
import type { Cidr } from '../../net/cidr.ts'
import type { ObservedChains } from './diff.ts'

export class FakeIptables {
  /** By "FAMILY TABLE CHAIN", as placeKey has it behind the family. */
  readonly chains = new Map<string, string[]>()
  readonly restores: string[] = []
  /** The UDP flows that are tracked; and the filters of those that were ended, in order. */
  flows: readonly UdpFlow[] = []
  readonly ended: UdpFlowFilter[] = []
  localNetworks: readonly Cidr[] = []
  /** Walks through the conntrack table. */
  walks = 0
  conntrackFails = false
  /** How this version prints a rule. */
  print = (rule: string): string => rule
  /** Awaited by each restore: a test can hold it back. */
  gate: Promise<void> = Promise.resolve()
  reads = 0
  /** How often others have written; undefined where this kernel does not tell. */
  foreignWrites: number | undefined
  looks = 0

  get iptables(): Iptables {
    const asked: Pick<Iptables, 'restore' | 'rulesOf' | 'hasRules' | 'foreignWrites'> = {
      restore: async (family, text) => {
        this.restores.push(text)
        await this.gate
        this.#restore(family, text)
      },
      rulesOf: async (family, table, chain) => {
        this.reads++
        const rules = this.chains.get(`${family} ${table} ${chain}`)
        return rules ?? (chain.startsWith('FAIRLEAD-') ? undefined : [])
      },
      foreignWrites: async () => this.foreignWrites,
      hasRules: async (family, rules) => {
        this.looks++
        const held = (table: string) =>
          [...this.chains].filter(([key]) => key.startsWith(`${family} ${table} `)).flatMap(([, all]) => all)
        return rules.every(({ table, rule }) => held(table).includes(this.print(rule)))
      },
    }
    return asked as Iptables
  }

  /** The part of the Kernel that the rules ask for. */
  get kernel(): Pick<Kernel, 'readUdpFlows' | 'deleteUdpFlows' | 'localNetworks'> {
    return {
      readUdpFlows: async (family, seen) => {
        this.walks++
        if (this.conntrackFails)
          throw new CommandError({ kind: 'not-installed', command: 'conntrack', stderr: 'conntrack: not found' })
        for (const flow of this.flows) if (familyOf(flow.source) === family) seen(flow)
      },
      deleteUdpFlows: async (_, filters) => {
        this.ended.push(...filters)
        return filters.length
      },
      localNetworks: async (family) => this.localNetworks.filter((cidr) => cidr.family === family),
    }
  }

  observed(family: Family): ObservedChains {
    return new Map(
      [...this.chains].filter(([key]) => key.startsWith(`${family} `)).map(([key, rules]) => [key.slice(2), rules]),
    )
  }

  /** A table at a time, all of it or nothing, as the kernel does. */
  #restore(family: Family, text: string): void {
    let table = ''
    let draft = new Map<string, string[]>()
    for (const line of text.split('\n').filter(Boolean)) {
      const [command = '', name = ''] = line.split(' ')
      if (line.startsWith('*'))
        [table, draft] = [line.slice(1), new Map([...this.chains].map(([key, rules]) => [key, [...rules]]))]
      else if (line === 'COMMIT') this.#commit(draft)
      else if (line.startsWith(':')) draft.set(`${family} ${table} ${command.slice(1)}`, [])
      else this.#edit(draft, `${family} ${table} ${name}`, line)
    }
  }

  #commit(draft: ReadonlyMap<string, string[]>): void {
    this.chains.clear()
    for (const [key, rules] of draft) this.chains.set(key, rules)
  }

  #edit(draft: Map<string, string[]>, key: string, line: string): void {
    const [command, name = '', position = ''] = line.split(' ')
    if (!draft.has(key) && !name.startsWith('FAIRLEAD-')) draft.set(key, [])
    const rules = draft.get(key)
    if (rules === undefined) refuse(line, 'No chain/target/match by that name')
    if (command === '-X') {
      if (rules.length > 0 || [...draft.values()].some((others) => others.some((rule) => rule.endsWith(` -j ${name}`))))
        refuse(line, 'Device or resource busy')
      draft.delete(key)
    } else if (command === '-A') {
      rules.push(this.print(line))
    } else if (command === '-I') {
      if (Number(position) > rules.length + 1) refuse(line, 'Index of insertion too big')
      rules.splice(Number(position) - 1, 0, this.print(`-A ${name} ${line.split(' ').slice(3).join(' ')}`))
    } else {
      const rule = line.replace(/^-D/, '-A')
      const index = rules.findIndex((each) => each === rule || each === this.print(rule))
      if (index === -1) refuse(line, 'Bad rule (does a matching rule exist in that chain?)')
      rules.splice(index, 1)
    }
  }
}

function refuse(line: string, stderr: string): never {
  throw new CommandError({ kind: 'other', command: line, stderr })
}
