// `ip -j neigh show`
import * as z from 'zod'
import { type Family, parseAddress } from '../net/address.ts'
import type { InterfaceName } from '../net/interface-name.ts'
import { parseMac } from '../net/mac.ts'
import type { FixedNeighbour, Neighbour } from './observed.ts'
import { type Reader, readList } from './read-json.ts'

const neighbourShape = z.object({
  dst: z.string(),
  lladdr: z.string().optional(),
  state: z.array(z.string()).default([]),
})

/** @throws {CommandError} of kind `missing` when there is no such device. */
export async function readNeighbours(
  reader: Reader,
  family: Family,
  device: InterfaceName,
): Promise<readonly Neighbour[]> {
  return readList(
    reader,
    ['ip', '-j', `-${family}`, 'neigh', 'show', 'dev', device],
    neighbourShape,
    ({ dst, lladdr, state }) => ({
      address: parseAddress(dst),
      mac: lladdr === undefined ? undefined : parseMac(lladdr),
      permanent: state.includes('PERMANENT'),
    }),
  )
}

/** What `neigh show` is to be filtered by for {@link FixedNeighbour}s. */
export const fixedStates = ['nud', 'permanent', 'nud', 'noarp'] as const

export const fixedNeighbourShape = z.object({ dst: z.string(), lladdr: z.string().optional(), dev: z.string() })

/** Of both families. @throws {CommandError} of kind `missing` when there is no such device. */
export async function readFixedNeighbours(reader: Reader, device: InterfaceName): Promise<readonly FixedNeighbour[]> {
  const words = ['ip', '-j', 'neigh', 'show', 'dev', device, ...fixedStates]
  // The device that was asked for is not printed.
  const shape = fixedNeighbourShape.extend({ dev: z.string().default(device) })
  return readList(reader, words, shape, fixedNeighbourOf)
}

export function fixedNeighbourOf({ dst, lladdr, dev }: z.infer<typeof fixedNeighbourShape>): FixedNeighbour {
  return { address: parseAddress(dst), mac: lladdr === undefined ? undefined : parseMac(lladdr), device: dev }
}
