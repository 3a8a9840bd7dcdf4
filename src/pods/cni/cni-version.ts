// The versions of the CNI specification that we speak, oldest first, and what each of them can ask.
import { CniError, cniCodes } from './cni-error.ts'

/** cmd/fairlead-cni answers VERSION with the same list. */
export const cniVersions = ['0.3.1', '0.4.0', '1.0.0', '1.1.0'] as const
export type CniVersion = (typeof cniVersions)[number]

/** What the agent is asked; the CNI binary answers VERSION itself. */
export const cniCommands = ['ADD', 'DEL', 'CHECK', 'GC', 'STATUS'] as const
export type CniCommand = (typeof cniCommands)[number]

const since: Record<CniCommand, CniVersion> = {
  ADD: '0.3.1',
  DEL: '0.3.1',
  CHECK: '0.4.0',
  GC: '1.1.0',
  STATUS: '1.1.0',
}

/**
 * @param value the cniVersion of a network configuration
 * @throws {CniError} incompatibleVersion, with the list of those we speak; also for none at all, which the
 * specification reads as 0.1.0.
 */
export function parseCniVersion(value: unknown): CniVersion {
  const version = cniVersions.find((known) => known === value)
  if (version !== undefined) return version
  const given = typeof value === 'string' ? `\`${value.slice(0, 20)}\`` : 'no cniVersion'
  throw new CniError(cniCodes.incompatibleVersion, 'incompatible CNI versions', {
    details: `the network configuration has ${given}, fairlead supports ${cniVersions.join(', ')}`,
  })
}

/** @throws {CniError} incompatibleVersion where the command came later than the version. */
export function requireCommand(command: CniCommand, version: CniVersion): void {
  if (atLeast(version, since[command])) return
  throw new CniError(
    cniCodes.incompatibleVersion,
    `the network configuration's cniVersion ${version} has no ${command}`,
    { details: `${command} came with ${since[command]}` },
  )
}

export function atLeast(version: CniVersion, floor: CniVersion): boolean {
  return cniVersions.indexOf(version) >= cniVersions.indexOf(floor)
}
