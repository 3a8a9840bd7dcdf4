// Which chains of others can go, and which rules lead to them. Pure. A chain that a rule of somebody else's leads to
// stays, with all that it leads to: without it that rule could not be; and one that serves a pod which lives stays
// until that pod is deleted.
import { backendProgram, type IptablesBackend, type IptablesTable } from '../../iptables/iptables.ts'
import { parseRule, splitLine } from '../../iptables/parse-rule.ts'
import { deletes, removes, restoreText } from '../../iptables/restore-text.ts'
import { commentOf, type Rule } from '../../iptables/rule.ts'
import type { Family } from '../../net/address.ts'
import { canary, marker } from '../../services/owner.ts'
import { chainOwner, isKubeRouterRule, isUnknownChain, type Owner } from './owners.ts'
import { type Removals, together } from './removals.ts'

/** One table as iptables-save prints it: ":CHAIN ..." and "-A CHAIN ...". */
export interface TableLines {
  readonly backend: IptablesBackend
  readonly family: Family
  readonly table: IptablesTable
  readonly lines: readonly string[]
}

export interface RulesContext {
  /** Their programs run: what they have stays. */
  readonly running: ReadonlySet<Owner>
  readonly podLives: (network: string, containerId: string) => boolean
  readonly anyPodLives: boolean
}

export function ruleRemovals(tables: readonly TableLines[], context: RulesContext): Removals {
  const services = tables
    .filter(({ table, lines }) => table === 'mangle' && lines.some((line) => line.startsWith(`:${marker} `)))
    .map(programOf)
  return together(
    tables.map((table) => tableRemovals(table, { ...context, servicesAreOurs: services.includes(programOf(table)) })),
  )
}

function programOf({ family, backend }: Pick<TableLines, 'family' | 'backend'>): string {
  return backendProgram(family, backend)
}

interface HeldRule {
  readonly chain: string
  /** Behind `-A CHAIN `. */
  readonly text: string
  readonly rule: Rule
  readonly target: string | undefined
}

/** Their rules lead to a chain for each pod: the chain stays while one does, and rules that lead to the others go. */
const shared = ['CNI-HOSTPORT-DNAT', 'CNI-FORWARD']
/** Made and removed together. */
const hostPortChains = ['CNI-HOSTPORT-DNAT', 'CNI-HOSTPORT-SETMARK', 'CNI-HOSTPORT-MASQ']

function tableRemovals(of: TableLines, context: RulesContext & { servicesAreOurs: boolean }): Removals {
  const { table, lines: printed } = of
  const chains = printed.flatMap((line) => /^:(\S+) -/.exec(line)?.[1] ?? [])
  const rules = printed.flatMap(heldRule)
  const held = new Set<Owner>()
  const kept: string[] = []
  const stay = (names: readonly string[], why: string): void =>
    void (
      names.length > 0 &&
      kept.push(`${listed(names)} (${programOf(of)} -t ${table}) ${names.length === 1 ? 'stays' : 'stay'}: ${why}`)
    )

  const theirs = chains.filter((chain) => {
    const owner = chainOwner(table, chain)
    if (owner === undefined || (owner === 'kube-proxy' && context.servicesAreOurs && chain !== canary)) return false
    if (context.running.has(owner)) held.add(owner)
    return !context.running.has(owner)
  })
  const going = new Set(theirs)
  const inUse = theirs.filter((chain) => servesPod(chain, rules, context))
  for (const chain of inUse) going.delete(chain)
  stay(inUse, 'pods of the network before live, or are not known to be gone; delete them, then run this again')
  if (inUse.some((chain) => chain.startsWith('CNI-DN-'))) for (const chain of hostPortChains) going.delete(chain)
  const administered = theirs.filter((chain) => chain === 'CNI-ADMIN' && rules.some((rule) => rule.chain === chain))
  for (const chain of administered) going.delete(chain)
  stay(administered, "rules in it are an administrator's")
  const needed = keepNeeded(going, rules, (chain) => !chains.includes(chain) || shared.includes(chain))
  stay(
    needed.filter((chain) => !hostPortChains.includes(chain)),
    'a rule of a chain that stays leads to it',
  )
  stay(
    chains.filter((chain) => chainOwner(table, chain) === undefined && isUnknownChain(chain)),
    "it looks like a network's, but of none that is known here",
  )

  const single = rules.filter(({ rule, target }) => isKubeRouterRule(rule) && !going.has(target ?? ''))
  if (single.length > 0 && context.running.has('kube-router')) held.add('kube-router')
  const alone = context.running.has('kube-router') ? [] : single
  const leading = rules.filter(({ chain, target }) => target !== undefined && going.has(target) && !going.has(chain))
  // Emptied, then nothing leads to them, then they go: chains of one table may lead to one another.
  const lines = [
    ...[...leading, ...alone].filter(({ chain }) => !going.has(chain)).map(({ chain, text }) => deletes(chain, text)),
    ...[...going].map(removes),
  ]
  const { backend, family } = of
  return {
    steps:
      lines.length === 0
        ? []
        : [{ by: 'restore', backend, family, text: restoreText([{ table, declare: [...going], lines }]) }],
    kept,
    held: [...held],
  }
}

function heldRule(line: string): HeldRule[] {
  const { chain = '', rule: text } = splitLine(line) ?? {}
  if (text === undefined) return []
  const rule = parseRule(text)
  return [{ chain, text, rule, target: rule.target?.name }]
}

/**
 * The plugins name network and container in the comment of the rule that leads to a pod's chain; a chain that no rule
 * leads to serves nobody.
 */
function servesPod(chain: string, rules: readonly HeldRule[], { podLives, anyPodLives }: RulesContext): boolean {
  if (/^CNI-(FORWARD|ISOLATION-STAGE-[12])$/.test(chain)) return anyPodLives
  if (!/^CNI-(DN-)?[0-9a-f]{21,24}$/.test(chain)) return false
  const leading = rules.filter(({ target }) => target === chain)
  return leading.some(({ rule }) => {
    const [, network, containerId] = /name: "([^"]+)" id: "([^"]+)"/.exec(commentOf(rule)) ?? []
    return network === undefined || containerId === undefined || podLives(network, containerId)
  })
}

/** Takes out of `going` what a chain that stays leads to, again and again. @returns what it took. */
function keepNeeded(going: Set<string>, rules: readonly HeldRule[], mayLose: (chain: string) => boolean): string[] {
  const needed: string[] = []
  for (;;) {
    const next = rules.find(
      ({ chain, target }) => target !== undefined && going.has(target) && !going.has(chain) && !mayLose(chain),
    )?.target
    if (next === undefined) return needed
    going.delete(next)
    needed.push(next)
  }
}

/** A node may have one for each pod. */
function listed(names: readonly string[]): string {
  return names.length <= 4 ? names.join(', ') : `${names.slice(0, 3).join(', ')} and ${names.length - 3} more`
}
