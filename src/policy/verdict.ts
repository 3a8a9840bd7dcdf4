// What the kernel's own table does to the first packet of a connection, read off what `nft -j list table` says of it:
// not what was meant. Pure.
import type { Protocol } from '../cluster/service.ts'
import { type Address, addressToBigInt, canonicalAddress, familyOf } from '../net/address.ts'
import type { NftFields, NftObject } from '../kernel/nftables.ts'
import { setsOf } from './observe.ts'
import { type Direction, directions } from './subjects.ts'

/** After the translation of a Service's address, and before any masquerading: as the forward hook sees it. */
export interface JudgedPacket {
  readonly source: Address
  readonly destination: Address
  readonly protocol: Protocol
  readonly port: number
}

/** What one side's policies say; a side that no policy isolates says nothing. */
export interface Judgement {
  readonly direction: Direction
  /** The map that led to the chain, and the chain of the policies that the pod is under. */
  readonly map: string
  readonly chain: string
  /** The comment of the rule that admits it, which is the name of its policy; undefined where none does. */
  readonly admittedBy: string | undefined
  readonly admitted: boolean
}

export interface Verdict {
  readonly accepted: boolean
  /** In the order of the kernel: egress, then ingress. */
  readonly judgements: readonly Judgement[]
  /** Chains with rules that we never write, and that are taken as not met. */
  readonly doubtful: readonly string[]
}

/** @param objects of the whole table */
export function verdictOf(objects: readonly NftObject[], packet: JudgedPacket): Verdict {
  const judge = new Judge(objects, packet)
  const base = objects.map(({ chain }) => chain).find((chain) => chain?.['hook'] === 'forward')
  const end = base === undefined ? 'through' : judge.chain(String(base['name']))
  return { accepted: end !== 'drop', judgements: judge.judgements, doubtful: [...judge.doubtful] }
}

type End = 'accept' | 'drop' | 'through'

class Judge {
  readonly #packet: JudgedPacket
  readonly #rules: ReadonlyMap<string, readonly NftFields[]>
  readonly #sets: ReturnType<typeof setsOf>
  readonly judgements: Judgement[] = []
  readonly doubtful = new Set<string>()

  constructor(objects: readonly NftObject[], packet: JudgedPacket) {
    this.#packet = packet
    this.#rules = Map.groupBy(
      objects.flatMap(({ rule }): NftFields[] => (rule === undefined ? [] : [rule])),
      (rule) => String(rule['chain']),
    )
    this.#sets = setsOf(objects)
  }

  /** @param admitted told of the rule that lets the packet go, or sends it back */
  chain(name: string, admitted: (comment: string) => void = () => undefined): End {
    for (const rule of this.#rules.get(name) ?? []) {
      const [verdict, via] = this.#verdictOf(rule)
      if (verdict === undefined) continue
      const [how, target] = verdict
      if (how === 'accept' || how === 'return') admitted(typeof rule['comment'] === 'string' ? rule['comment'] : '')
      if (how === 'accept' || how === 'drop') return how
      if (how === 'return') return 'through'
      const end = via === undefined ? this.chain(target, admitted) : this.#judged(via, target)
      if (end !== 'through' || how === 'goto') return end
    }
    return 'through'
  }

  /** The chain that a map leads an isolated pod's packets to. */
  #judged(map: string, chain: string): End {
    let by: string | undefined
    const end = this.chain(chain, (comment) => (by = comment))
    const direction = directions.find((each) => map.startsWith(each)) ?? 'ingress'
    this.judgements.push({ direction, map, chain, admittedBy: by, admitted: end !== 'drop' })
    return end
  }

  /** Where the rule's conditions are met: what it says, and the map that said it. */
  #verdictOf(rule: NftFields): [verdict?: readonly [how: string, target: string], map?: string] {
    for (const part of rule['expr'] as readonly NftFields[]) {
      const [[kind, value] = ['', undefined]] = Object.entries(part)
      switch (kind) {
        case 'match':
          if (!this.#meets(value as MatchFields, rule)) return []
          break
        case 'vmap': {
          const { key, data } = value as { key: unknown; data: unknown }
          const map = String(data).replace('@', '')
          const found = this.#sets.get(map)?.get(this.#valueOf(key, rule) ?? '')
          return found === undefined ? [] : [found.split(' ') as [string, string], map]
        }
        case 'accept':
        case 'drop':
        case 'return':
          return [[kind, '']]
        case 'jump':
        case 'goto':
          return [[kind, String((value as { target: unknown }).target)]]
        case 'counter':
        case 'log':
        case 'limit':
          break
        default:
          this.doubtful.add(String(rule['chain']))
          return []
      }
    }
    return []
  }

  #meets({ op, left, right }: MatchFields, rule: NftFields): boolean {
    const value = this.#valueOf(left, rule)
    if (value === undefined) return false
    return this.#isIn(value, right) !== (op === '!=')
  }

  #isIn(value: string, right: unknown): boolean {
    if (typeof right === 'string' && right.startsWith('@')) {
      const elements = this.#sets.get(right.slice(1))
      return (
        elements !== undefined &&
        (elements.has(value) ||
          [...elements.keys()].some((element) => element.includes('-') && isBetween(value, element.split('-'))))
      )
    }
    const { range, set } = (typeof right === 'object' && right !== null ? right : {}) as {
      range?: readonly unknown[]
      set?: readonly unknown[]
    }
    if (range !== undefined) return isBetween(value, range.map(String))
    return set === undefined ? value === String(right) : set.some((each) => this.#isIn(value, each))
  }

  /** As elements of sets are written; undefined where the packet has no such field. */
  #valueOf(left: unknown, rule: NftFields): string | undefined {
    const { payload, meta, ct, concat } = left as {
      payload?: { protocol: string; field: string }
      meta?: { key: string }
      ct?: { key: string }
      concat?: readonly unknown[]
    }
    const { source, destination, protocol, port } = this.#packet
    if (concat !== undefined) {
      const values = concat.map((each) => this.#valueOf(each, rule))
      return values.includes(undefined) ? undefined : values.join(' . ')
    }
    if (meta?.key === 'l4proto') return protocol
    if (ct?.key === 'direction') return 'original'
    if (ct?.key === 'state') return 'new'
    if (payload?.protocol === (familyOf(destination) === 4 ? 'ip' : 'ip6'))
      return payload.field === 'saddr' ? source : destination
    if (payload?.protocol === protocol && payload.field === 'dport') return String(port)
    if (payload === undefined) this.doubtful.add(String(rule['chain']))
    return undefined
  }
}

interface MatchFields {
  readonly op: string
  readonly left: unknown
  readonly right: unknown
}

function isBetween(value: string, [first = '', last = '']: readonly string[]): boolean {
  const [low, high, number] = [first, last, value].map(numberOf)
  return low !== undefined && high !== undefined && number !== undefined && low <= number && number <= high
}

function numberOf(text: string): bigint | undefined {
  const address = canonicalAddress(text)
  if (address !== undefined) return addressToBigInt(address)
  return /^\d+$/.test(text) ? BigInt(text) : undefined
}
