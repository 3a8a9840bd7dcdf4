// Who is isolated and what is admitted -> the table that the kernel should hold. Undefined where no pod of this node is
// isolated: then packets meet nothing of ours.
import { type Family, familyOf } from '../net/address.ts'
import { denyChain, denyingChain, forwardChain, mapFamilies, PolicyChains } from './chains.ts'
import type { LocalPod } from './local-pod.ts'
import type { MemberMap, Members } from './members.ts'
import type { RenderContext } from './policy-rules.ts'
import type { PodSelection } from './pod-selection.ts'
import type { SetSource } from './set-source.ts'
import type { PolicySettings } from './settings.ts'
import { type Direction, directions, type Subject } from './subjects.ts'
import { addressKey, noElements, type PolicyTable, type TableChain, type TableSet } from './table.ts'

/** Remembers what it has made, so that a plan costs what has changed since the last one. */
export class Desired {
  readonly #chains = new PolicyChains()
  readonly #members: Members
  /** Set name -> what was made of which members. */
  #made = new Map<string, { members: MemberMap; set: TableSet }>()

  constructor(members: Members) {
    this.#members = members
  }

  /** @param context the same object as long as nothing in it has changed, as are the settings */
  plan(subjects: readonly Subject[], settings: PolicySettings, context: RenderContext): PolicyTable | undefined {
    this.#chains.begin(settings, context)
    const fixed = new FixedSets(mapFamilies(settings))
    const chains = new Map<string, TableChain>()
    const sources = new Map<string, SetSource>()
    for (const subject of subjects) {
      for (const direction of directions) {
        const own = this.#chains.chainOf(direction, subject[direction])
        if (own === undefined) continue
        chains.set(own.name, own.chain)
        for (const source of own.sets) sources.set(source.name, source)
        fixed.isolate(direction, subject.local, own.name)
      }
    }
    const selections = new Map(
      [...sources.values()].flatMap(({ selection }): [string, PodSelection][] =>
        selection === undefined ? [] : [[selection.key, selection]],
      ),
    )
    this.#members.follow(selections)
    const sets = this.#make(sources)
    if (chains.size === 0) return undefined
    for (const direction of directions) chains.set(denyChain[direction], denyingChain(direction, settings))
    return {
      sets: new Map([...fixed.sets(), ...sets]),
      chains: new Map([...chains, ['forward', forwardChain(settings)]]),
    }
  }

  #make(sources: ReadonlyMap<string, SetSource>): ReadonlyMap<string, TableSet> {
    const made = new Map<string, { members: MemberMap; set: TableSet }>()
    for (const [name, source] of sources) {
      const members = source.selection === undefined ? nobody : this.#members.of(source.selection)
      const before = this.#made.get(name)
      made.set(
        name,
        before?.members === members
          ? before
          : { members, set: { kind: 'set', declaration: source.declaration, elements: source.elements(members) } },
      )
    }
    this.#made = made
    return new Map([...made].map(([name, { set }]) => [name, set]))
  }
}

const nobody: MemberMap = new Map()

/** Where a packet's addresses lead it, and who is counted. */
class FixedSets {
  readonly #sets = new Map<string, { kind: 'set' | 'map'; declaration: string; elements: Map<string, string> }>()

  constructor(families: readonly Family[]) {
    for (const family of families) {
      const key = addressKey(family)
      this.#sets.set(`itself${family}`, { kind: 'set', declaration: `typeof ${key} . ${key};`, elements: new Map() })
      for (const direction of directions) {
        this.#sets.set(`${direction}${family}`, {
          kind: 'map',
          declaration: `typeof ${key} : verdict;`,
          elements: new Map(),
        })
        this.#sets.set(`denied-${direction}${family}`, {
          kind: 'set',
          declaration: `typeof ${key}; counter;`,
          elements: new Map(),
        })
      }
    }
  }

  isolate(direction: Direction, { addresses, linkLocal }: LocalPod, chain: string): void {
    for (const address of linkLocal === undefined ? addresses : [...addresses, linkLocal]) {
      const family = familyOf(address)
      this.#sets.get(`${direction}${family}`)?.elements.set(address, `jump ${chain}`)
      this.#sets.get(`denied-${direction}${family}`)?.elements.set(address, '')
      // A Service that leads a pod to itself: its packet has the pod's address at both ends, since it gets the node's
      // only later.
      this.#sets.get(`itself${family}`)?.elements.set(`${address} . ${address}`, '')
    }
  }

  sets(): ReadonlyMap<string, TableSet> {
    return new Map(
      [...this.#sets].map(([name, set]) => [name, set.elements.size === 0 ? { ...set, elements: noElements } : set]),
    )
  }
}
