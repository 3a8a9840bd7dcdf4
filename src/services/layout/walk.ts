// How a packet goes through chains: iptables' own rules for jump, goto and the end of a chain, for tests that compare
// two layouts.
import type { Protocol } from '../../cluster/service.ts'
import { type Address, addressBits, addressToBigInt, familyOf } from '../../net/address.ts'
import { parseInterfaceAddress } from '../../net/cidr.ts'
import type { Chains } from '../rendered.ts'

export interface Packet {
  readonly destination: Address
  readonly protocol: Protocol
  readonly port: number
  /** The destination is an address of the node. */
  readonly local: boolean
}

export interface Walk {
  /** The targets that the packet reached which are no chain here, in order; each of them is taken to return. */
  readonly reached: readonly string[]
  /** How many rules were looked at. */
  readonly rules: number
}

/** From the first rule of a chain. @throws {Error} for a match that it does not know. */
export function walk(chains: Chains, from: string, packet: Packet): Walk {
  const reached: string[] = []
  let rules = 0
  const destination = addressToBigInt(packet.destination)
  const enter = (chain: string): void => {
    for (const rule of chains.get(chain) ?? []) {
      rules += 1
      if (!matches(rule, packet, destination)) continue
      const [, verb, target = ''] = / ?-([jg]) (\S+)$/.exec(rule) ?? []
      if (chains.has(target)) enter(target)
      else reached.push(target)
      // What was entered by goto does not come back here but to whoever jumped last.
      if (verb === 'g') return
    }
  }
  enter(from)
  return { reached, rules }
}

/** Each rule is read once: a flat layout asks the same hundreds of them for every packet. */
const tests = new Map<string, Test>()
type Test = (packet: Packet, destination: bigint) => boolean

function matches(rule: string, packet: Packet, destination: bigint): boolean {
  const known = tests.get(rule)
  if (known !== undefined) return known(packet, destination)
  const words = rule
    .replaceAll(/-m comment --comment "[^"]*" ?/g, '')
    .replace(/ ?-[jg] \S+$/, '')
    .split(' ')
    .filter(Boolean)
  const parts = Array.from({ length: words.length / 2 }, (_, i) => testOf(words[2 * i] ?? '', words[2 * i + 1] ?? ''))
  const test: Test = (...of) => parts.every((part) => part(...of))
  tests.set(rule, test)
  return test(packet, destination)
}

function testOf(option: string, value: string): Test {
  switch (option) {
    case '-d': {
      const { address, prefix } = parseInterfaceAddress(value)
      const hostBits = BigInt(addressBits(familyOf(address)) - prefix)
      const network = addressToBigInt(address) >> hostBits
      return (_, destination) => destination >> hostBits === network
    }
    case '-p':
      return ({ protocol }) => protocol === value
    case '--dport': {
      const [low = 0, high = low] = value.split(':').map(Number)
      return ({ port }) => port >= low && port <= high
    }
    case '--dst-type':
      return ({ local }) => local
    case '-m':
      return () => true
    default:
      throw new Error(`Expected a match that a layout uses, got \`${option} ${value}\``)
  }
}
