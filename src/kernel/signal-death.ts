// What is reported of a program that a signal ended: a crash of its own (SIGSEGV, SIGABRT), or a kill by another
// program (SIGKILL, as by the kernel when memory is short).
import { constants } from 'node:os'

/** What a shell prints of such an end; the signal's name says the same. */
const shellWords =
  /^(Segmentation fault|Aborted|Killed|Terminated|Bus error|Illegal instruction|Floating point exception|Trace\/breakpoint trap)( \(core dumped\))?$/

/**
 * Reads the signal from a shell's exit status, which is 128 plus its number.
 * @returns undefined for the status of a program that ended by itself
 */
export function signalOf(status: number): NodeJS.Signals | undefined {
  const [name] = Object.entries(constants.signals).find(([, number]) => number + 128 === status) ?? []
  return name as NodeJS.Signals | undefined
}

/**
 * Says the same for each death of the same kind, so that it is logged once.
 * @param said the program's stderr
 * @returns "died of SIGSEGV", with the first line that the program printed before, if any
 */
export function deathOf(signal: string, said: string): string {
  const line = said.split('\n').find((each) => each.trim() !== '' && !shellWords.test(each.trim()))
  return line === undefined ? `died of ${signal}` : `died of ${signal}: ${line.trim()}`
}
