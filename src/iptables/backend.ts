// Which of iptables' two backends holds the node's rules. Rules in nft and rules in legacy do not see each other.
import type { Family } from '../net/address.ts'
import { CommandError } from '../kernel/command-error.ts'
import { runInShell, type ShellCommandOptions } from '../kernel/shell-command.ts'
import type { ShellWorkers } from '../kernel/shell-workers.ts'
import { backendProgram, type IptablesBackend, type IptablesTable } from './iptables.ts'

/**
 * Chooses as iptables-wrappers does (kubernetes-sigs/iptables-wrappers): the backend with kubelet's chains, else the one
 * with more rules, else nft. Counting takes seconds with many nft rules, so before that it looks for what kube-proxy, or
 * this agent before its restart, leaves in table mangle.
 * @throws {CommandError} where a program that it asks is ended by a signal: a wrong choice would put rules into both
 */
export async function chooseBackend(workers: ShellWorkers, options: ShellCommandOptions): Promise<IptablesBackend> {
  const script = `
exec 3>&1
# A program that a signal ended has said nothing of its rules, unless it was SIGPIPE (141): then grep had heard enough.
ask() { "$@"; end=$?; [ $end -lt 129 ] || [ $end -eq 141 ] || echo "died: $*" >&3; }
mangle() {
  if [ "$1" = nft ]; then ask iptables-nft-save -t mangle; ask ip6tables-nft-save -t mangle
  else
    # Reading a legacy table creates it: read only those that exist.
    ! grep -qx mangle /proc/net/ip_tables_names || ask iptables-legacy-save -t mangle
    ! grep -qx mangle /proc/net/ip6_tables_names || ask ip6tables-legacy-save -t mangle
  fi
}
for chains in 'KUBE-IPTABLES-HINT|KUBE-KUBELET-CANARY' 'KUBE-PROXY-CANARY|FAIRLEAD-SERVICES'; do
  for backend in nft legacy; do
    if mangle $backend | grep -qE "^:($chains) "; then echo $backend; exit; fi
  done
done
legacy=$( (ask iptables-legacy-save; ask ip6tables-legacy-save) | grep -c ^-)
nft=$( (ask iptables-nft-save; ask ip6tables-nft-save) | grep -c ^-)
if [ "$legacy" -gt "$nft" ]; then echo legacy; else echo nft; fi`
  const { stdout } = await runInShell(workers, ['sh', '-c', `exec 2>/dev/null${script}`], {
    ...options,
    timeout: 60_000,
  })
  const dead = /^died: (.*)$/m.exec(stdout)?.[1]
  if (dead !== undefined) throw new CommandError({ kind: 'killed', command: dead, stderr: 'died of a signal' })
  return stdout.trim() === 'legacy' ? 'legacy' : 'nft'
}

/**
 * Checks whether the other backend holds a chain. It never creates a legacy table, as reading one would do. Without the
 * other backend's program the answer is no.
 * @throws {CommandError}
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
  const program = backendProgram(family, backend === 'nft' ? 'legacy' : 'nft')
  const script = `exec 2>/dev/null; ${guard}${program} -w 5 -t ${table} -S ${chain} >/dev/null && echo yes; true`
  const { stdout } = await runInShell(workers, ['sh', '-c', script], options)
  return stdout.trim() === 'yes'
}
