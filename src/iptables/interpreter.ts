// Works out what iptables rules do to the first packet of a connection, as the kernel would. Pure. The trace, the tests
// of Services and the tests of their layouts share it.
import { type Address, addressBits, canonicalAddress, familyOf } from '../net/address.ts'
import { cidrContains, cidrOf } from '../net/cidr.ts'
import { type Chains, type Match, type Option, optionOf, type Rule, type Target } from './rule.ts'

export interface WalkedPacket {
  readonly source: Address
  readonly destination: Address
  readonly protocol: string
  /** Of the destination. */
  readonly port: number
  /** Undefined where a process of the node sends it. */
  readonly inDevice: string | undefined
  /** Undefined before it is routed. */
  readonly outDevice?: string | undefined
  readonly isOwn: (address: Address) => boolean
  readonly mark: number
  /** Its destination was translated on the way here. */
  readonly translated: boolean
}

export type RuleEnd =
  /** `through`: back at the caller, or past the end of a built-in chain. */
  | { readonly kind: 'through' | 'accept' | 'drop' | 'reject' | 'masquerade' }
  | { readonly kind: 'dnat' | 'snat' | 'redirect'; readonly to: string }

export interface MetRule {
  readonly chain: string
  /** Undefined: the policy of the built-in chain. */
  readonly rule: Rule | undefined
  /** The share of the packets that came to the rule which it took: below 1 where it decides at random. */
  readonly share: number
}

export interface RuleWay {
  readonly chance: number
  readonly mark: number
  readonly end: RuleEnd
  /** The rules that did it: those that led to the end, and those that changed the mark. */
  readonly met: readonly MetRule[]
}

export interface RuleWalk {
  /** Their chances add up to 1, where no chain is missing. */
  readonly ways: readonly RuleWay[]
  /** Chains that rules led to and that were not given: no way holds the packets that went there. */
  readonly missing: ReadonlySet<string>
  /** Rules with a condition that is not understood, which counts as not met. */
  readonly doubtful: readonly (MetRule & { readonly rule: Rule })[]
  /** The chains that a rule led to, in order. */
  readonly entered: readonly string[]
  /** The number of rules that were compared with the packet: what the walk costs the kernel. */
  readonly compared: number
}

/** Below this a way is an error of rounding. */
const leastChance = 1e-7

/**
 * Walks a packet through a chain.
 * @param chains a chain that is known not to exist is empty
 * @param policy of a built-in chain: decides on packets that come back
 */
export function walkRules(
  chains: Chains,
  base: string,
  packet: WalkedPacket,
  policy: 'accept' | 'drop' = 'accept',
): RuleWalk {
  const walker = new Walker(chains, packet)
  const ways = walker.chain(base, { chance: 1, mark: packet.mark, end: { kind: 'through' }, met: [] })
  const policed =
    policy === 'drop'
      ? ways.map((way): RuleWay =>
          way.end.kind === 'through'
            ? { ...way, end: { kind: 'drop' }, met: [...way.met, { chain: base, rule: undefined, share: 1 }] }
            : way,
        )
      : ways
  const { missing, doubtful, entered, compared } = walker
  return { ways: policed, missing, doubtful, entered, compared }
}

/** Targets after which the packet goes on to the next rule, and that do not concern its way. */
const passing = new Set([
  'LOG',
  'NFLOG',
  'ULOG',
  'CONNMARK',
  'CT',
  'TCPMSS',
  'TEE',
  'CLASSIFY',
  'DSCP',
  'TOS',
  'TTL',
  'HL',
  'CHECKSUM',
  'AUDIT',
  'TRACE',
  'SET',
  'SECMARK',
  'CONNSECMARK',
])

class Walker {
  readonly #chains: Chains
  readonly #packet: WalkedPacket
  readonly missing = new Set<string>()
  readonly doubtful: (MetRule & { rule: Rule })[] = []
  readonly entered: string[] = []
  compared = 0

  constructor(chains: Chains, packet: WalkedPacket) {
    this.#chains = chains
    this.#packet = packet
  }

  /** Ways that end `through` have come back from the chain. */
  chain(name: string, start: RuleWay): RuleWay[] {
    const rules = this.#chains.get(name)
    if (rules === undefined) {
      // If the packet came back, each of a thousand endpoints would double the number of ways.
      this.missing.add(name)
      return []
    }
    const done: RuleWay[] = []
    let live = [start]
    for (const rule of rules) {
      if (live.length === 0) break
      this.compared += 1
      live = live.flatMap((way) => {
        const share = this.#share(name, rule, way)
        if (share === 0) return [way]
        const rest = way.chance * (1 - share)
        const passed = rest > leastChance ? [{ ...way, chance: rest }] : []
        if (way.chance * share <= leastChance) return passed
        const { ended, going } = this.#take({ chain: name, rule, share }, { ...way, chance: way.chance * share })
        done.push(...ended)
        return [...passed, ...going]
      })
    }
    return [...done, ...live]
  }

  /** What becomes of a packet that meets the conditions. */
  #take(met: MetRule & { rule: Rule }, way: RuleWay): { ended: RuleWay[]; going: RuleWay[] } {
    const { target } = met.rule
    const end = target === undefined ? undefined : endOf(target, met.rule)
    if (end !== undefined) return { ended: [{ ...way, end, met: [...way.met, met] }], going: [] }
    if (target?.name === 'RETURN') return { ended: [way], going: [] }
    if (target?.name === 'MARK') return { ended: [], going: [markedBy(met, way)] }
    if (target === undefined || passing.has(target.name)) return { ended: [], going: [way] }
    this.entered.push(target.name)
    const after = this.chain(target.name, { ...way, met: [...way.met, met] })
    // A detour that changed nothing is left out.
    const back = after
      .filter((each) => each.end.kind === 'through')
      .map((each) => (each.mark === way.mark ? { ...each, met: way.met } : each))
    const ended = after.filter((each) => each.end.kind !== 'through')
    return target.verb === 'goto' ? { ended: [...ended, ...back], going: [] } : { ended, going: back }
  }

  /** 1 or 0, or between them where the rule decides at random. */
  #share(chain: string, rule: Rule, { mark }: RuleWay): number {
    const conditions = conditionsOf(rule)
    if (conditions === undefined) {
      this.doubtful.push({ chain, rule, share: 0 })
      return 0
    }
    let share = 1
    for (const condition of conditions) {
      share *= condition(this.#packet, mark)
      if (share === 0) return 0
    }
    return share
  }
}

function endOf(target: Target, rule: Rule): RuleEnd | undefined {
  switch (target.name) {
    case 'ACCEPT':
    case 'DROP':
    case 'REJECT':
    case 'MASQUERADE':
      return { kind: target.name.toLowerCase() as 'accept' }
    case 'DNAT':
      return { kind: 'dnat', to: optionOf(rule, '--to-destination') ?? '' }
    case 'SNAT':
      return { kind: 'snat', to: optionOf(rule, '--to-source') ?? '' }
    case 'REDIRECT':
      return { kind: 'redirect', to: optionOf(rule, '--to-ports') ?? '' }
    default:
      return undefined
  }
}

function markedBy(met: MetRule & { rule: Rule }, way: RuleWay): RuleWay {
  const [value = 0, mask = 0xffffffff] = (optionOf(met.rule, '--set-xmark') ?? '').split('/').map(Number)
  const mark = ((way.mark & ~mask) ^ value) >>> 0
  return mark === way.mark ? way : { ...way, mark, met: [...way.met, met] }
}

/** Returns the share of such packets that meets it: 0, 1, or between them. */
type Condition = (packet: WalkedPacket, mark: number) => number

/** A flat layout compares hundreds of rules with each packet: each rule is read once. */
const known = new WeakMap<Rule, { readonly conditions: readonly Condition[] | undefined }>()

/** Undefined where one of them is not understood. */
function conditionsOf(rule: Rule): readonly Condition[] | undefined {
  const found = known.get(rule)
  if (found !== undefined) return found.conditions
  const all = rule.matches.flatMap(({ options }: Match) =>
    options.filter(({ name }) => !unconditional.has(name)).map(conditionOf),
  )
  const conditions = all.every((each) => each !== undefined) ? all : undefined
  known.set(rule, { conditions })
  return conditions
}

/** Options of matches that hold for every packet, or do not concern the first one. */
const unconditional = new Set([
  '--comment',
  '--mode',
  '--set',
  '--name',
  '--mask',
  '--rsource',
  '--seconds',
  '--reap',
  '--nfacct-name',
  '--limit',
  '--limit-burst',
])

function conditionOf({ name, value, negated }: Option): Condition | undefined {
  const condition = plainCondition(name, value)
  return condition === undefined || !negated ? condition : (...of) => 1 - condition(...of)
}

/** Undefined for what is not understood. */
function plainCondition(name: string, value: string): Condition | undefined {
  const words = value.split(',')
  switch (name) {
    case '-s': {
      const isWithin = blockTest(value)
      return ({ source }) => isWithin(source)
    }
    case '-d': {
      const isWithin = blockTest(value)
      return ({ destination }) => isWithin(destination)
    }
    case '-i':
      return ({ inDevice }) => isDevice(value, inDevice)
    case '-o':
      return ({ outDevice }) => isDevice(value, outDevice)
    case '-p':
      return ({ protocol }) => Number(value === protocol || value === 'all')
    case '--dport':
    case '--dports': {
      const ranges = words.map((range) => range.split(':').map(Number))
      return ({ port }) => Number(ranges.some(([low = 0, high = low]) => port >= low && port <= high))
    }
    case '--dst-type':
      return ({ destination, isOwn }) => Number(words.includes(isOwn(destination) ? 'LOCAL' : 'UNICAST'))
    case '--src-type':
      return ({ source, isOwn }) => Number(words.includes(isOwn(source) ? 'LOCAL' : 'UNICAST'))
    case '--ctstate':
    case '--state':
      return ({ translated }) => Number(words.some((state) => state === 'NEW' || (state === 'DNAT' && translated)))
    case '--mark': {
      const [wanted = 0, mask = 0xffffffff] = value.split('/').map(Number)
      return (_, mark) => Number((mark & mask) >>> 0 === wanted)
    }
    case '--probability':
      return () => Number(value)
    // The first packet's source is in no list.
    case '--rcheck':
    case '--update':
      return () => 0
    default:
      return undefined
  }
}

function isDevice(pattern: string, device: string | undefined): number {
  return Number(
    pattern.endsWith('+')
      ? device?.startsWith(pattern.slice(0, -1)) === true
      : device !== undefined && device === pattern,
  )
}

function blockTest(text: string): (address: Address) => number {
  const [head = '', prefix] = text.split('/')
  const network = canonicalAddress(head)
  if (network === undefined) return () => 0
  const family = familyOf(network)
  const length = prefix === undefined ? addressBits(family) : Number(prefix)
  if (length === addressBits(family)) return (address) => Number(address === network)
  const block = cidrOf(network, length)
  return (address) => Number(cidrContains(block, address))
}
