// Which links, routes, routing rules, nftables tables and sets of others can go. Pure.
import type { NftTable } from '../../kernel/nft-tables.ts'
import type { Link, Route } from '../../kernel/observed.ts'
import type { PolicyRule } from '../../kernel/routing-rules.ts'
import type { Family } from '../../net/address.ts'
import { cidrContains, formatCidr } from '../../net/cidr.ts'
import type { ForeignNetwork } from './networks.ts'
import { isUnknownLink, isUnknownNft, linkOwner, nftOwner, type Owner, setOwner } from './owners.ts'
import type { Removals, Step } from './removals.ts'

type Running = ReadonlySet<Owner>

/** A bridge with ports stays: whatever hangs from it lives. */
export function linkRemovals(links: readonly Link[], running: Running): Removals {
  const { going, held } = sorted(links, linkOwner, running)
  const portsOf = (bridge: Link): string[] =>
    links.filter(({ master }) => master === bridge.name).map(({ name }) => name)
  const [busy, free] = [
    going.filter((link) => portsOf(link).length > 0),
    going.filter((link) => portsOf(link).length === 0),
  ]
  return {
    steps: free.map(({ name }) => command('ip', 'link', 'del', name)),
    kept: [
      ...busy.map(
        (bridge) =>
          `${bridge.name} stays: ${portsOf(bridge).join(', ')} ${portsOf(bridge).length === 1 ? 'is' : 'are'} on it; delete those pods, then run this again`,
      ),
      ...links
        .filter((link) => linkOwner(link) === undefined && isUnknownLink(link))
        .map(
          ({ name, type = 'no kind' }) =>
            `link ${name} (${type}) stays: it looks like a network's, but of none that is known here`,
        ),
    ],
    held,
  }
}

/**
 * kube-router marks its routes (protocol 17); flannel and kindnet leave theirs as any person's (protocol boot), so
 * theirs are those to a part of their pod network.
 */
export function routeRemovals(
  routes: readonly Route[],
  networks: readonly ForeignNetwork[],
  links: readonly Link[],
  running: Running,
): Removals {
  // They go with their device.
  const staying = routes.filter(
    ({ device }) => !links.some((link) => link.name === device && linkOwner(link) !== undefined),
  )
  const { going, held } = sorted(
    staying,
    ({ protocol, gateway, destination }) => {
      if (protocol === 17 && gateway !== undefined) return 'kube-router'
      if (protocol !== 3 || gateway === undefined) return undefined
      return networks.find(({ cidr }) => destination.prefix >= cidr.prefix && cidrContains(cidr, destination.network))
        ?.owner
    },
    running,
  )
  return {
    steps: going.map(({ family, destination, gateway = '', device, protocol }) =>
      command(
        'ip',
        `-${family}`,
        'route',
        'del',
        formatCidr(destination),
        'via',
        gateway,
        ...(device === undefined ? [] : ['dev', device]),
        'proto',
        String(protocol),
      ),
    ),
    kept: [],
    held,
  }
}

/** kube-router's table for answers that have to go back through its tunnels, and what leads there. */
export const tunnelTable = 77

/** @param filled the families in which that table has routes */
export function policyRuleRemovals(
  rules: readonly PolicyRule[],
  filled: ReadonlySet<Family>,
  running: Running,
): Removals {
  const { going, held } = sorted(
    rules,
    ({ table, source }) => (table === tunnelTable && source !== undefined ? 'kube-router' : undefined),
    running,
  )
  const families = [...new Set(going.map(({ family }) => family))]
  return {
    steps: [
      ...going.map(({ family, priority, source }) =>
        command(
          'ip',
          `-${family}`,
          'rule',
          'del',
          ...(source === undefined ? [] : ['from', formatCidr(source)]),
          'lookup',
          String(tunnelTable),
          'priority',
          String(priority),
        ),
      ),
      ...families
        .filter((family) => filled.has(family))
        .map((family) => command('ip', `-${family}`, 'route', 'flush', 'table', String(tunnelTable))),
    ],
    kept: [],
    held,
  }
}

export function nftRemovals(tables: readonly NftTable[], running: Running): Removals {
  const { going, held } = sorted(tables, nftOwner, running)
  return {
    steps: going.map(({ family, name }) => command('nft', 'delete', 'table', family, name)),
    kept: tables
      .filter((table) => nftOwner(table) === undefined && isUnknownNft(table))
      .map(
        ({ family, name }) =>
          `nftables table ${family} ${name} stays: it looks like a network's, but of none that is known here`,
      ),
    held,
  }
}

export function setRemovals(sets: readonly string[], running: Running): Removals {
  const { going, held } = sorted(sets, setOwner, running)
  return { steps: going.map((name) => command('ipset', 'destroy', name)), kept: [], held }
}

function sorted<T>(
  things: readonly T[],
  ownerOf: (thing: T) => Owner | undefined,
  running: Running,
): { going: T[]; held: Owner[] } {
  const theirs = things
    .flatMap((thing) => ({ thing, owner: ownerOf(thing) }))
    .filter((each): each is { thing: T; owner: Owner } => each.owner !== undefined)
  return {
    going: theirs.filter(({ owner }) => !running.has(owner)).map(({ thing }) => thing),
    held: theirs.filter(({ owner }) => running.has(owner)).map(({ owner }) => owner),
  }
}

function command(...words: readonly string[]): Step {
  return { by: 'program', words }
}
