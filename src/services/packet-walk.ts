// What the rules do to the first packet of a connection, worked out from their text as the kernel would: for tests, which then say where a packet ends and not how a rule is spelled.
import type { Protocol } from '../cluster/service.ts'
import { type Address, familyOf, parseAddress } from '../net/address.ts'
import { cidrContains, cidrOf } from '../net/cidr.ts'
import type { DesiredRules } from './rendered.ts'
import { type BaseJump, baseJumps } from './static-chains.ts'

export interface Packet {
  readonly source: Address
  readonly destination: Address
  readonly protocol: Protocol
  readonly port: number
  /** Where it comes in; undefined: a process of the node sends it. */
  readonly device: string | undefined
  /** The node's own addresses. */
  readonly own: readonly Address[]
}

export interface Fate {
  /** "10.244.1.5:8080", what refused it, or `untouched`. */
  readonly end: string
  /** Gets the node's address. */
  readonly masqueraded: boolean
}

/** Each possible fate with its probability. */
export function fatesOf(rules: DesiredRules, packet: Packet): ReadonlyMap<string, { fate: Fate; chance: number }> {
  const fates = new Map<string, { fate: Fate; chance: number }>()
  const chains = { filter: rules.filter, nat: rules.nat, mangle: new Map(), raw: new Map() }
  const through = (table: BaseJump['table'], base: BaseJump['base'], start: State): State[] => {
    const jumps = baseJumps.filter((jump) => jump.table === table && jump.base === base).map(({ rule }) => rule)
    return runChain(new Map([...chains[table], [base, jumps]]), base, packet, start)
  }
  const toNode = packet.own.includes(packet.destination)
  const hook = packet.device === undefined ? 'OUTPUT' : (toNode ? 'INPUT' : 'FORWARD')
  for (const routed of through('nat', packet.device === undefined ? 'OUTPUT' : 'PREROUTING', { marked: false, chance: 1, end: undefined })) {
    // What table nat has sent elsewhere is no longer what table filter looks for.
    const ends = routed.end === undefined ? through('filter', hook, routed) : [routed]
    for (const { end = 'untouched', marked, chance } of ends) {
      const fate = { end, masqueraded: marked }
      const key = JSON.stringify(fate)
      fates.set(key, { fate, chance: chance + (fates.get(key)?.chance ?? 0) })
    }
  }
  return fates
}

interface State {
  readonly marked: boolean
  readonly chance: number
  readonly end: string | undefined
}

/** States without an end have come back from the chain. */
function runChain(chains: ReadonlyMap<string, readonly string[]>, name: string, packet: Packet, start: State): State[] {
  const rules = chains.get(name)
  if (rules === undefined) throw new Error(`No chain ${name}`)
  const done: State[] = []
  let live = [start]
  for (const rule of rules) {
    const next: State[] = []
    for (const state of live) {
      const likely = likelihood(rule, packet, state)
      if (likely < 1) next.push({ ...state, chance: state.chance * (1 - likely) })
      if (likely === 0) continue
      const taken = { ...state, chance: state.chance * likely }
      const [, how, target = ''] = /(?:^| )-([jg]) (\S+)/.exec(rule) ?? []
      if (target === 'MARK') next.push({ ...taken, marked: rule.includes('--set-xmark 0x4000/0x4000') })
      else if (target === 'RETURN') done.push(taken)
      else if (target === 'DNAT') done.push({ ...taken, end: rule.split('--to-destination ')[1] })
      else if (target === 'ACCEPT' || target === 'DROP' || target === 'REJECT') done.push({ ...taken, end: target })
      else if (target === '') next.push(taken)
      else for (const after of runChain(chains, target, packet, taken)) (after.end === undefined && how === 'j' ? next : done).push(after)
    }
    live = next
  }
  return [...done, ...live]
}

/** 1 or 0, or between them where the rule throws dice. */
function likelihood(rule: string, packet: Packet, state: State): number {
  const words = rule.replaceAll(/ ?-m comment --comment "[^"]*"/g, '').split(' ')
  let likely = 1
  for (const [i, word] of words.entries()) {
    const negated = words[i - 1] === '!'
    const matches = matchOf(word, words[i + 1] ?? '', packet, state)
    if (matches !== undefined) likely *= negated ? 1 - matches : matches
  }
  return likely
}

function matchOf(word: string, value: string, packet: Packet, state: State): number | undefined {
  switch (word) {
    case '-s':
      return Number(isWithin(value, packet.source))
    case '-d':
      return Number(isWithin(value, packet.destination))
    case '-i':
      return Number(value.endsWith('+') ? packet.device?.startsWith(value.slice(0, -1)) : packet.device === value)
    case '-p':
      return Number(value === packet.protocol)
    case '--dport': {
      const [low = '', high = low] = value.split(':')
      return Number(packet.port >= Number(low) && packet.port <= Number(high))
    }
    case '--dst-type':
      return Number(packet.own.includes(packet.destination))
    case '--src-type':
      return Number(packet.own.includes(packet.source))
    case '--ctstate':
      return Number(value === 'NEW')
    case '--mark':
      return Number(state.marked)
    case '--probability':
      return Number(value)
    // Nobody has been here before.
    case '--rcheck':
      return 0
    default:
      return undefined
  }
}

function isWithin(text: string, address: Address): boolean {
  const [head = '', prefix] = text.split('/')
  const network = parseAddress(head)
  return familyOf(network) === familyOf(address) && cidrContains(cidrOf(network, Number(prefix)), address)
}
