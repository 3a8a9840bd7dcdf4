// Whether the checksums of what a device sends are left to the card under it (ethtool's tx-checksum-ip-generic), or
// computed before.
import type { InterfaceName } from '../net/interface-name.ts'
import { runInShell, type ShellCommandOptions } from './shell-command.ts'
import type { ShellWorkers } from './shell-workers.ts'

const feature = 'tx-checksum-ip-generic'

/** Undefined where the device has no such choice. @throws {CommandError} */
export async function readTxChecksum(
  workers: ShellWorkers,
  device: InterfaceName,
  options: ShellCommandOptions,
): Promise<boolean | undefined> {
  const { stdout } = await runInShell(workers, ['ethtool', '-k', device], options)
  const [, state, fixed] = new RegExp(`^\\s*${feature}: (on|off)( \\[fixed\\])?`, 'm').exec(stdout) ?? []
  return state === undefined || fixed !== undefined ? undefined : state === 'on'
}

/** @throws {CommandError} */
export async function writeTxChecksum(
  workers: ShellWorkers,
  device: InterfaceName,
  on: boolean,
  options: ShellCommandOptions,
): Promise<void> {
  await runInShell(workers, txChecksumCommand(device, on), options)
}

export function txChecksumCommand(device: InterfaceName, on: boolean): string[] {
  return ['ethtool', '-K', device, feature, on ? 'on' : 'off']
}
