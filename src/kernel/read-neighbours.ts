// `ip -j neigh show dev X`
import * as z from 'zod'
import { type Family, parseAddress } from '../net/address.ts'
import type { InterfaceName } from '../net/interface-name.ts'
import { parseMac } from '../net/mac.ts'
import type { Neighbour } from './observed.ts'
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
