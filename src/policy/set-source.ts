// What a set of the table is made of: either fixed by its name, or the pods of a selection as they come and go.
import type { Protocol } from '../cluster/service.ts'
import { type Family, familyOf } from '../net/address.ts'
import { interval } from './ip-blocks.ts'
import type { Member, MemberMap } from './members.ts'
import type { PodSelection } from './pod-selection.ts'
import type { Range } from './ranges.ts'
import { addressKey, comment, contentName, noElements } from './table.ts'

export interface SetSource {
  readonly name: string
  readonly declaration: string
  /** Undefined: the elements below are all there will ever be. */
  readonly selection: PodSelection | undefined
  elements(members: MemberMap): ReadonlyMap<string, string>
}

/** The addresses of the pods. */
export function podsSet(family: Family, selection: PodSelection): SetSource {
  return {
    name: contentName(`pods${family}`, selection.key),
    declaration: `typeof ${addressKey(family)}; ${comment(selection.key)};`,
    selection,
    elements: (members) =>
      collect(members, function* ({ addresses }) {
        for (const address of addresses) if (familyOf(address) === family) yield address
      }),
  }
}

/** The pods that have a port of this name, each with its number: "10.244.1.7 . 8080". */
export function namedPortSet(
  family: Family,
  selection: PodSelection,
  port: { name: string; protocol: Protocol },
): SetSource {
  const what = `${selection.key}, port ${port.name}/${port.protocol}`
  return {
    name: contentName(`ports${family}`, what),
    declaration: `typeof ${addressKey(family)} . th dport; ${comment(what)};`,
    selection,
    elements: (members) =>
      collect(members, function* ({ pod, addresses }) {
        const numbers = pod.ports.filter(({ name, protocol }) => name === port.name && protocol === port.protocol)
        for (const address of addresses)
          if (familyOf(address) === family) for (const { port: number } of numbers) yield `${address} . ${number}`
      }),
  }
}

/** Addresses of blocks, as intervals. */
export function blockSet(family: Family, intervals: readonly string[]): SetSource {
  return fixed(`block${family}`, addressKey(family), intervals)
}

/** Port numbers, whatever their protocol. */
export function portSet(ranges: readonly Range[]): SetSource {
  return fixed(
    'ports',
    'th dport',
    ranges.map(({ first, last }) => interval(String(first), String(last))),
  )
}

function fixed(kind: string, key: string, intervals: readonly string[]): SetSource {
  const elements = new Map(intervals.map((each) => [each, '']))
  return {
    name: contentName(kind, intervals.join()),
    declaration: `typeof ${key}; flags interval;`,
    selection: undefined,
    elements: () => elements,
  }
}

function collect(members: MemberMap, each: (member: Member) => Iterable<string>): ReadonlyMap<string, string> {
  if (members.size === 0) return noElements
  const elements = new Map<string, string>()
  for (const member of members.values()) for (const element of each(member)) elements.set(element, '')
  return elements
}
