// Sets of ipset, whoever made them. Rare: for what cleans up. We make none.
import { CommandError } from './command-error.ts'
import { runProgram } from './run.ts'

/** The names that `ipset list -n` prints; undefined where there is no ipset to ask. */
export async function readIpSets(): Promise<readonly string[] | undefined> {
  try {
    const { stdout } = await runProgram('ipset', ['list', '-n'])
    return stdout.split('\n').filter((name) => name !== '')
  } catch (error) {
    if (error instanceof CommandError && error.kind === 'not-installed') return undefined
    throw error
  }
}
