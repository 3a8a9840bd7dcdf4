// The checksums of what goes into the tunnel. The kernel leaves them to the network card, and some cards miscalculate
// those inside of a tunnel (flannel #1279): then they are computed before, which costs four fifths of the throughput
// (measured) and is right everywhere. A device that has been changed so bears it as its alias: whatever restarts
// meanwhile, what is undone later is what we have done.
import type { Logger } from 'pino'
import { CommandError } from '../kernel/command-error.ts'
import type { Kernel } from '../kernel/kernel.ts'
import { clearAlias, setAlias } from '../kernel/link-changes.ts'
import type { Link } from '../kernel/observed.ts'
import { txChecksumCommand } from '../kernel/tx-checksum.ts'
import type { InterfaceName } from '../net/interface-name.ts'

/** `keep` it as the kernel gives it to the device, switch it `off`, or `leave` it as it is now. */
export type ChecksumOffload = 'keep' | 'off' | 'leave'

const mark = 'checksum-offload-off'

export interface ObservedOffload {
  readonly on: boolean
  /** Whether it is we who have switched it off. */
  readonly ours: boolean
}

/** Undefined where the device is not there, or does not say. */
export async function observeChecksumOffload(
  kernel: Kernel,
  device: InterfaceName,
): Promise<ObservedOffload | undefined> {
  try {
    const link = (await kernel.links()).find(({ name }) => name === device)
    const on = link === undefined ? undefined : await kernel.txChecksum(device)
    return on === undefined ? undefined : { on, ours: link?.alias === mark }
  } catch (error) {
    if (error instanceof CommandError) return undefined
    throw error
  }
}

/** @param link the device as it was before this pass @returns a sentence for what could not be done */
export async function settleChecksumOffload(
  { kernel, log }: { kernel: Kernel; log: Logger },
  device: InterfaceName,
  wanted: ChecksumOffload,
  link: Link | undefined,
): Promise<readonly string[]> {
  const marked = link?.alias === mark
  if (wanted === 'leave' || (wanted === 'keep' && !marked)) return []
  const on = wanted === 'keep'
  try {
    const differs = (await kernel.txChecksum(device)) !== on
    if (differs) {
      await kernel.setTxChecksum(device, on)
      log.info(
        { room: 'overlay', command: txChecksumCommand(device, on).join(' ') },
        `checksum offload of ${device} switched ${on ? 'on again' : 'off'}`,
      )
    }
    // One that somebody else has switched off is not ours to switch on.
    if (on || differs) await kernel.apply([on ? clearAlias(device) : setAlias(device, mark)])
    return []
  } catch (error) {
    if (!(error instanceof CommandError)) throw error
    return [
      `Checksum offload of ${device} could not be switched ${on ? 'on again' : 'off'} (${error.command.split(' ')[0]}: ${error.stderr || error.kind}); see that ethtool is installed, or set checksumOffload: keep`,
    ]
  }
}
