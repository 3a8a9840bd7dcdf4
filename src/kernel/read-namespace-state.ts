// What a namespace other than ours holds: links, routes and fixed neighbours, by one `ip -batch` (2.7 ms, of which
// nsenter takes 2), and a second process for IPv6 routes, since a batch speaks of one family.
import type * as z from 'zod'
import type { Family } from '../net/address.ts'
import type { NamespaceState } from './observed.ts'
import type { Reader } from './read-json.ts'
import { parseList } from './read-json.ts'
import { linkOf, linkShape } from './read-links.ts'
import { fixedNeighbourOf, fixedNeighbourShape, fixedStates } from './read-neighbours.ts'
import { readRoutes, routeOf, routeShape } from './read-routes.ts'
import { runInShell } from './shell-command.ts'

/** @throws {CommandError} of kind `missing` when there is no such namespace. */
export async function readNamespaceState(reader: Reader, families: readonly Family[]): Promise<NamespaceState> {
  const words = ['ip', '-j', '-N', '-d', '-batch', '-']
  const input = `addr show\nroute show\nneigh show ${fixedStates.join(' ')}\n`
  const [{ stdout }, routes6] = await Promise.all([
    runInShell(reader.workers, words, { ...reader.options, input }),
    families.includes(6) ? readRoutes(reader, 6) : [],
  ])
  const [links = '', routes = '', neighbours = ''] = stdout.split('\n')
  const command = words.join(' ')
  const listOf = <T>(text: string, shape: z.ZodType<T>): T[] => parseList(command, text, shape)
  return {
    links: listOf(links, linkShape).map(linkOf),
    routes: [...(families.includes(4) ? listOf(routes, routeShape).map((raw) => routeOf(raw, 4)) : []), ...routes6],
    fixedNeighbours: listOf(neighbours, fixedNeighbourShape).map(fixedNeighbourOf),
  }
}
