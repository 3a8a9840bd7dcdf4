// Second jumps into the chains of table nat, which keep Services working while a kube-proxy takes the first ones away.
//
// kube-proxy in nftables mode removes the rules of its iptables mode as soon as it starts, ours among them, and writes
// its own a second or two later; `kube-proxy --cleanup` removes them too. It deletes each jump by its words, then all
// chains in one restore. The second jumps have other words, so they stay, and the restore fails as a whole, because a
// chain that a rule leads to cannot be deleted. So each packet still finds its endpoint until the audit has put the
// first jumps back.
//
// A second jump takes packets only while an agent lives: it asks whether the list FAIRLEAD of xt_recent was renewed
// within two minutes. So the rules of an agent that is gone never stand in the way of a kube-proxy's.
import type { Iptables } from '../iptables/iptables.ts'
import type { Kernel } from '../kernel/kernel.ts'
import { hasRecentLists, renewRecentList } from '../kernel/recent-list.ts'
import type { Family } from '../net/address.ts'
import type { Logger } from 'pino'
import { appends, deletes, restoreText } from '../iptables/restore-text.ts'
import { CommandError } from '../kernel/command-error.ts'
import { baseJumps } from './static-chains.ts'

/** The built-in chains of table nat -> their rules as printed behind `-A CHAIN `. */
type ObservedBases = ReadonlyMap<string, readonly string[]>

const list = 'FAIRLEAD'
const lapseSeconds = 120
/** ms between two renewals: three may be late. */
export const renewalMs = 30_000
const comment = '--comment "while fairlead runs"'
/** The list keeps the address of whoever sent a packet; behind this mask all have one. */
const zero: Readonly<Record<Family, string>> = { 4: '0.0.0.0', 6: '::' }

interface StandbyJump {
  readonly base: string
  readonly target: string
  /** After `-A BASE `. */
  readonly rule: string
}

/** The second jumps of table nat. Those of filter would cost each packet, and an audit brings back what they hold. */
export function standbyJumps(family: Family): StandbyJump[] {
  const alive = `-m recent --rcheck --seconds ${lapseSeconds} --name ${list} --mask ${zero[family]} --rsource`
  return baseJumps
    .filter(({ table }) => table === 'nat')
    .map(({ base, rule: { target } }) => ({ base, target: target?.name ?? '' }))
    .map(({ base, target }) => ({ base, target, rule: `-m comment ${comment} ${alive} -j ${target}` }))
}

/** Lines that append the second jumps that are missing. */
export function missingStandby(family: Family, observed: ObservedBases): string[] {
  return standbyJumps(family)
    .filter(({ base }) => !(observed.get(base) ?? []).some(isStandby))
    .map(({ base, rule }) => appends(base, rule))
}

/** Lines that delete the second jumps, in whatever words this iptables prints them. */
export function standbyRemovals(observed: ObservedBases): string[] {
  return [...observed].flatMap(([base, rules]) => rules.filter(isStandby).map((rule) => deletes(base, rule)))
}

/** Reads the chains that hold second jumps. @throws {CommandError} */
export async function readStandbyBases(iptables: Iptables, family: Family): Promise<ObservedBases> {
  const bases = new Map<string, string[]>()
  for (const { base } of standbyJumps(family)) {
    const lines = (await iptables.rulesOf(family, 'nat', base)) ?? []
    bases.set(
      base,
      lines.filter((line) => line.startsWith('-A ')).map((line) => line.slice(`-A ${base} `.length)),
    )
  }
  return bases
}

/**
 * Puts in the second jumps, where the chains that they lead to exist, and renews the list.
 * @returns whether they stand now
 * @throws {CommandError} where the kernel has no xt_recent
 */
export async function raiseStandby(kernel: Kernel, iptables: Iptables, family: Family): Promise<boolean> {
  for (const target of new Set(standbyJumps(family).map(({ target }) => target)))
    if ((await iptables.rulesOf(family, 'nat', target)) === undefined) return false
  const missing = missingStandby(family, await readStandbyBases(iptables, family))
  if (missing.length > 0) await iptables.restore(family, restoreText([{ table: 'nat', declare: [], lines: missing }]))
  await renewStandby(kernel, family)
  return true
}

/** Lets the second jumps take packets for two more minutes. @throws {CommandError} */
export async function renewStandby(kernel: Kernel, family: Family): Promise<void> {
  await renewRecentList(kernel.shell, list, [zero[family]])
}

function isStandby(rule: string): boolean {
  return rule.includes(comment)
}

/** The second jumps of one address family, as far as this kernel takes them. */
export class Standby {
  readonly #parts: { kernel: Kernel; iptables: Iptables; family: Family; log: Logger }
  #state: 'down' | 'up' | 'impossible' = 'down'

  constructor(parts: { kernel: Kernel; iptables: Iptables; family: Family; log: Logger }) {
    this.#parts = parts
  }

  /**
   * Puts in the second jumps unless they are in. A kernel that refuses them serves Services without; after any other
   * failure the next call tries again.
   */
  async raise(): Promise<void> {
    const { kernel, iptables, family, log } = this.#parts
    if (this.#state !== 'down') return
    try {
      if (await raiseStandby(kernel, iptables, family)) this.#state = 'up'
    } catch (error) {
      if (!(error instanceof CommandError)) throw error
      if (!hasRecentLists()) this.#state = 'impossible'
      log.info(
        { family, command: error.command, stderr: error.stderr },
        'second jumps to Services refused: Services fail for seconds where a kube-proxy removes the first ones',
      )
    }
  }

  /** Puts in the second jumps that another program has removed. */
  async restore(): Promise<void> {
    if (this.#state === 'up') this.#state = 'down'
    await this.raise()
  }

  /** Removes the second jumps. @throws {CommandError} */
  async remove(): Promise<void> {
    const { iptables, family } = this.#parts
    const lines = standbyRemovals(await readStandbyBases(iptables, family))
    if (lines.length > 0) await iptables.restore(family, restoreText([{ table: 'nat', declare: [], lines }]))
    this.#state = 'down'
  }
}
