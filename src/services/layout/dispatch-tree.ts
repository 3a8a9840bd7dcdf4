// Finds a frontend in O(log n) rules where kube-proxy's chain has one rule for each.
//
// The walk: KUBE-SERVICES -> the root of one of two trees (ClusterIPs; external and load-balancer addresses), if the
// destination lies in the block that covers all of that tree -> by 4 bits of the address a level -> the leaf, whose
// rules are word for word kube-proxy's. Inside a tree every step is a goto, so a miss comes back to KUBE-SERVICES,
// behind the jump that entered the tree, and meets the same rules that follow a miss in kube-proxy's chain. One address
// with many ports is divided further by protocol and port; so are node ports. A step leads past all bits that its
// frontends have in common.
import type { Protocol } from '../../cluster/service.ts'
import { addressBits, addressFromBigInt, addressToBigInt, familyOf } from '../../net/address.ts'
import { type Cidr, cidrOf } from '../../net/cidr.ts'
import { goTo, jump, protocolIs, to, toPort } from '../../iptables/matches.ts'
import { type Match, type Rule, rule } from '../../iptables/rule.ts'
import { frontendRule } from '../render-frontends.ts'
import type { Frontend, FrontendLayout } from '../rendered.ts'
import { isTreeChain, prefixChainName } from './tree-names.ts'

/**
 * A tree stays one until so few are left of what made it one, so that a Service that comes and goes does not turn
 * everything over.
 */
const keptBy = 3 / 4
const mostInLeaf = 16
/** A leaf that was divided is one again when so few are left. */
const fewestDivided = 8

type TreeName = 'CIP' | 'VIP' | 'NPT'

interface Entry {
  /**
   * A character is a level: the hex digits of the address, one letter for the protocol, the four hex digits of the
   * port.
   */
  readonly key: string
  readonly frontend: Frontend
}

/** Of these chains, those that lead on into a tree: what {@link dispatchTree} has to know of the layout in force. */
export function dividedChains(chains: Iterable<readonly [chain: string, rules: readonly Rule[]]>): ReadonlySet<string> {
  return new Set(
    [...chains]
      .filter(([, rules]) => rules.some(({ target }) => isTreeChain(target?.name ?? '')))
      .map(([chain]) => chain),
  )
}

/**
 * @param before the {@link dividedChains} of the layout now in force: it decides where both ways are allowed. Without
 * it, as if there were none.
 */
export function dispatchTree(before: ReadonlySet<string> = new Set()): FrontendLayout {
  return (frontends, { treeFrom }) => {
    const byAddress = frontends.filter(({ kind }) => kind !== 'node-port')
    const nodePorts = frontends.filter(({ kind }) => kind === 'node-port')
    const chains = new Map<string, readonly Rule[]>()
    const isTree = (count: number, wasTree: boolean) => count > (wasTree ? treeFrom * keptBy : treeFrom)

    if (isTree(nodePorts.length, before.has('KUBE-NODEPORTS'))) {
      new Tree({ name: 'NPT', bits: 0, before, chains }).grow(
        'KUBE-NODEPORTS',
        '',
        nodePorts.map(entryOf).toSorted(byKey),
      )
    } else chains.set('KUBE-NODEPORTS', nodePorts.map(frontendRule))

    if (isTree(byAddress.length, before.has('KUBE-SERVICES'))) {
      const roots = Object.entries(Object.groupBy(byAddress, treeOf)).map(([name, members]) =>
        new Tree({ name: name as TreeName, bits: bitsOf(members), before, chains }).root(
          members.map(entryOf).toSorted(byKey),
        ),
      )
      chains.set('KUBE-SERVICES', roots)
    } else chains.set('KUBE-SERVICES', byAddress.map(frontendRule))
    return chains
  }
}

class Tree {
  readonly #name: TreeName
  /** Of an address; 0 where the keys have none. */
  readonly #bits: number
  readonly #before: ReadonlySet<string>
  readonly #chains: Map<string, readonly Rule[]>

  constructor(parts: {
    name: TreeName
    bits: number
    before: ReadonlySet<string>
    chains: Map<string, readonly Rule[]>
  }) {
    this.#name = parts.name
    this.#bits = parts.bits
    this.#before = parts.before
    this.#chains = parts.chains
  }

  /**
   * The rule that enters the tree. It is a jump, not a goto: the address may be the node's own, and then the node ports
   * come after a miss.
   */
  root(entries: readonly Entry[]): Rule {
    return this.#branch('', entries, jump)
  }

  /** Writes the chain for all entries whose keys begin with the prefix. @param entries in the order of their keys. */
  grow(chain: string, prefix: string, entries: readonly Entry[]): void {
    const divided = this.#before.has(chain)
    const divisible = entries[0]?.key !== entries.at(-1)?.key
    if (!divisible || entries.length <= (divided ? fewestDivided : mostInLeaf)) {
      this.#chains.set(
        chain,
        entries.map(({ frontend }) => frontendRule(frontend)),
      )
      return
    }
    const branches = Map.groupBy(entries, ({ key }) => key[prefix.length])
    this.#chains.set(
      chain,
      [...branches.values()].map((members) => {
        const [first] = members
        return first !== undefined && members.length === 1
          ? frontendRule(first.frontend)
          : this.#branch(prefix, members, goTo)
      }),
    )
  }

  /** The rule that leads to a chain for these entries, and the chain. */
  #branch(from: string, entries: readonly Entry[], lead: typeof jump | typeof goTo): Rule {
    const prefix = commonPrefix(entries[0]?.key ?? '', entries.at(-1)?.key ?? '')
    const chain = prefixChainName(this.#name, prefix)
    this.grow(chain, prefix, entries)
    return rule(...this.#matches(from, prefix), lead(chain))
  }

  /** What tells packets that reach the prefix from those that only reach `from`. */
  #matches(from: string, prefix: string): (Match | undefined)[] {
    const digits = prefix.slice(0, this.#bits / 4)
    const [letter, port] = [prefix.slice(digits.length, digits.length + 1), prefix.slice(digits.length + 1)]
    const address = digits.length > 0 && from.length < digits.length ? to(blockOf(digits, this.#bits)) : undefined
    const protocol = protocols[letter]
    return protocol === undefined ? [address] : [address, protocolIs(protocol), portMatch(protocol, port)]
  }
}

function treeOf({ kind }: Frontend): TreeName {
  return kind === 'cluster-ip' ? 'CIP' : 'VIP'
}

function bitsOf([first]: readonly Frontend[]): number {
  return first?.address === undefined ? 0 : addressBits(familyOf(first.address))
}

const letters: Record<Protocol, string> = { tcp: 'T', udp: 'U', sctp: 'S' }
const protocols: Readonly<Record<string, Protocol>> = { T: 'tcp', U: 'udp', S: 'sctp' }

function entryOf(frontend: Frontend): Entry {
  const { address, protocol, port } = frontend
  const digits =
    address === undefined
      ? ''
      : addressToBigInt(address)
          .toString(16)
          .toUpperCase()
          .padStart(addressBits(familyOf(address)) / 4, '0')
  return { key: `${digits}${letters[protocol]}${port.toString(16).toUpperCase().padStart(4, '0')}`, frontend }
}

function byKey(a: Entry, b: Entry): number {
  if (a.key === b.key) return 0
  return a.key < b.key ? -1 : 1
}

/** Of sorted keys, what the first and the last share is shared by all. */
function commonPrefix(first: string, last: string): string {
  let length = 0
  while (length < first.length && first[length] === last[length]) length += 1
  return first.slice(0, length)
}

/** The block of the addresses that begin with these hex digits. */
function blockOf(digits: string, bits: number): Cidr {
  const network = addressFromBigInt(BigInt(`0x${digits.padEnd(bits / 4, '0')}`), bits === 32 ? 4 : 6)
  return cidrOf(network, digits.length * 4)
}

function portMatch(protocol: Protocol, digits: string): Match | undefined {
  if (digits === '') return undefined
  const [low = 0, high = 0] = ['0', 'F'].map((filler) => Number.parseInt(digits.padEnd(4, filler), 16))
  return toPort(protocol, low, high)
}
