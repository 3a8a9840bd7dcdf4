// Named network namespaces, as `ip netns` keeps them below /run/netns.
import { runProgram } from './run.ts'

/** `ip netns add NAME`. @throws {CommandError} of kind `exists`. */
export async function createNamespace(name: string): Promise<void> {
  await runProgram('ip', ['netns', 'add', namespaceName(name)])
}

/** `ip netns del NAME`; nothing happens where there is none. Processes inside keep the namespace itself alive. */
export async function deleteNamespace(name: string): Promise<void> {
  await runProgram('ip', ['netns', 'del', namespaceName(name)], { accept: ['missing'] })
}

export function namespacePath(name: string): string {
  return `/run/netns/${namespaceName(name)}`
}

/** Whether commands of ours take it: letters, digits, dots, dashes and underscores. */
export function isNamespaceName(name: string): boolean {
  return /^[\w.-]{1,64}$/.test(name) && !name.startsWith('-') && name !== '.' && name !== '..'
}

function namespaceName(name: string): string {
  if (!isNamespaceName(name))
    throw new TypeError(
      `Expected a namespace name of letters, digits, dots, dashes or underscores, got \`${name.slice(0, 80)}\``,
    )
  return name
}
