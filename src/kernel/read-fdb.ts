// `bridge -j fdb show dev X`
import * as z from 'zod'
import { canonicalAddress } from '../net/address.ts'
import type { InterfaceName } from '../net/interface-name.ts'
import { parseMac } from '../net/mac.ts'
import type { FdbEntry } from './observed.ts'
import { type Reader, readList } from './read-json.ts'

const entryShape = z.object({
  mac: z.string(),
  dst: z.string().optional(),
  flags: z.array(z.string()).default([]),
  state: z.string().optional(),
})

/** @throws {CommandError} of kind `missing` when there is no such device. */
export async function readFdb(reader: Reader, device: InterfaceName): Promise<readonly FdbEntry[]> {
  return readList(reader, ['bridge', '-j', 'fdb', 'show', 'dev', device], entryShape, ({ mac, dst, flags, state }) => ({
    mac: parseMac(mac),
    destination: dst === undefined ? undefined : canonicalAddress(dst),
    self: flags.includes('self'),
    permanent: state === 'permanent',
  }))
}
