// iptables and ip6tables, on the backend that the node already uses: rules in nft and rules in legacy do not see each
// other.
import type { Family } from '../net/address.ts'
import { CommandError } from './command-error.ts'
import type { IptablesBackend, IptablesTable, TableRule } from './kernel.ts'
import { runProgram } from './run.ts'
import { runInShell, type ShellCommandOptions } from './shell-command.ts'
import type { ShellWorkers } from './shell-workers.ts'

// A restore of 10,000 services in one piece takes minutes on nft (reference: measurements A); what is slow is not hung.
const restoreTimeout = 600_000

/**
 * Characters. A host port's line waits in an ADD, so small text goes through a shell worker, which forks faster than we
 * do; large text would only be copied once more.
 */
const shellLimit = 16_384

/**
 * `NAME-BACKEND-restore --noflush -w 5`: all of the text or nothing.
 * @throws {CommandError} that quotes the line at fault.
 */
export async function restoreRules(
  workers: ShellWorkers,
  backend: IptablesBackend,
  family: Family,
  text: string,
  enter: readonly string[],
): Promise<void> {
  const words = [`${programName(family)}-${backend}-restore`, '--noflush', '-w', '5']
  try {
    if (text.length <= shellLimit) {
      await runInShell(workers, words, { enter, input: text, timeout: restoreTimeout })
      return
    }
    const [program = '', ...args] = [...enter, ...words]
    await runProgram(program, args, { input: text, timeout: restoreTimeout })
  } catch (error) {
    if (!(error instanceof CommandError)) throw error
    throw new CommandError({
      kind: error.kind,
      command: error.command,
      stderr: withOffendingLine(error.stderr, text),
      cause: error,
    })
  }
}

/**
 * A restore whose every line is a check (-C) reads those chains alone, commits nothing that differs, and fails at the
 * first rule that is not there. 4 ms of CPU, less than half of it for a program per chain. (--test is no help:
 * iptables-nft 1.8.9 then skips the checks too.)
 */
export async function hasRules(
  workers: ShellWorkers,
  backend: IptablesBackend,
  family: Family,
  rules: readonly TableRule[],
  options: ShellCommandOptions,
): Promise<boolean> {
  const tables = Map.groupBy(rules, ({ table }) => table)
  const input = [...tables]
    .map(([table, held]) => `*${table}\n${held.map(({ rule }) => rule.replace(/^-A /, '-C ')).join('\n')}\nCOMMIT\n`)
    .join('')
  try {
    await runInShell(workers, [`${programName(family)}-${backend}-restore`, '--noflush', '-w', '5'], {
      ...options,
      input,
    })
    return true
  } catch (error) {
    if (error instanceof CommandError && error.kind !== 'not-installed' && error.kind !== 'timeout') return false
    throw error
  }
}

export interface ChainQuestion {
  readonly table: IptablesTable
  readonly chain: string
  readonly counters: boolean
}

/** The chain as `-S CHAIN` prints it; undefined where there is none. */
export async function rulesOfChain(
  workers: ShellWorkers,
  backend: IptablesBackend,
  family: Family,
  { table, chain, counters }: ChainQuestion,
  options: ShellCommandOptions,
): Promise<readonly string[] | undefined> {
  if (!/^[\w-]{1,28}$/.test(chain))
    throw new TypeError(
      `Expected a chain name of 1 to 28 letters, digits, dashes or underscores, got \`${chain.slice(0, 40)}\``,
    )
  // -n and the like are needless: -S never resolves names. iptables-nft 1.8.9 calls a chain that is not there
  // "incompatible".
  const { stdout } = await runInShell(
    workers,
    [`${programName(family)}-${backend}`, '-w', '5', '-t', table, ...(counters ? ['-v'] : []), '-S', chain],
    { ...options, accept: ['missing'] },
  )
  return stdout === '' ? undefined : stdout.trimEnd().split('\n')
}

/**
 * Never makes a table: legacy does so for whoever reads one. Without the other backend's program there is nothing in it
 * that we could see.
 */
export async function isInOtherBackend(
  workers: ShellWorkers,
  backend: IptablesBackend,
  place: { family: Family; table: IptablesTable; chain: string },
  options: ShellCommandOptions,
): Promise<boolean> {
  const { family, table, chain } = place
  const names = family === 4 ? '/proc/net/ip_tables_names' : '/proc/net/ip6_tables_names'
  const guard = backend === 'nft' ? `grep -qx ${table} ${names} && ` : ''
  const script = `exec 2>/dev/null; ${guard}${programName(family)}-${backend === 'nft' ? 'legacy' : 'nft'} -w 5 -t ${table} -S ${chain} >/dev/null && echo yes; true`
  const { stdout } = await runInShell(workers, ['sh', '-c', script], options)
  return stdout.trim() === 'yes'
}

/**
 * As iptables-wrappers decides (kubernetes-sigs/iptables-wrappers): where kubelet has left its chains, else where more
 * rules are, else nft. Before counting, which takes seconds with many nft rules, we look for kube-proxy's canary too:
 * it stands where kube-proxy, or this agent before its restart, has put its rules.
 */
export async function chooseBackend(workers: ShellWorkers, options: ShellCommandOptions): Promise<IptablesBackend> {
  const script = `
mangle() {
  if [ "$1" = nft ]; then iptables-nft-save -t mangle; ip6tables-nft-save -t mangle
  else
    # Reading a legacy table makes it: only those that are there.
    ! grep -qx mangle /proc/net/ip_tables_names || iptables-legacy-save -t mangle
    ! grep -qx mangle /proc/net/ip6_tables_names || ip6tables-legacy-save -t mangle
  fi
}
for chains in 'KUBE-IPTABLES-HINT|KUBE-KUBELET-CANARY' KUBE-PROXY-CANARY; do
  for backend in nft legacy; do
    if mangle $backend | grep -qE "^:($chains) "; then echo $backend; exit; fi
  done
done
legacy=$( (iptables-legacy-save; ip6tables-legacy-save) | grep -c ^-)
nft=$( (iptables-nft-save; ip6tables-nft-save) | grep -c ^-)
if [ "$legacy" -gt "$nft" ]; then echo legacy; else echo nft; fi`
  const { stdout } = await runInShell(workers, ['sh', '-c', `exec 2>/dev/null${script}`], {
    ...options,
    timeout: 60_000,
  })
  return stdout.trim() === 'legacy' ? 'legacy' : 'nft'
}

/** iptables says only which line it is. Where it means COMMIT, the tools do not tell more either. */
function withOffendingLine(said: string, text: string): string {
  const number = /line:? (\d+)/.exec(said)?.[1]
  const line = number === undefined ? undefined : text.split('\n')[Number(number) - 1]
  const first = said
    .split('\n')
    .filter((each) => each !== '' && !each.startsWith('Try `'))
    .join('; ')
  return line === undefined || line === '' ? first : `${first} [line ${number}: ${line}]`
}

function programName(family: Family): 'iptables' | 'ip6tables' {
  return family === 4 ? 'iptables' : 'ip6tables'
}
