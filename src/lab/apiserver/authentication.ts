// Who is asking: bearer tokens that carry their user's name, sealed with the lab's key. So there is no list of tokens
// to keep: whoever holds the key (the lab, as root) can give a node that joins later its kubeconfig, and the server
// knows it at once.
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isMissing, writeSecret } from './secret-files.ts'
import { StatusError } from './status-error.ts'

/** "admin", "controllers", "agent-NODE" or "kubelet-NODE". */
export type UserName = 'admin' | 'controllers' | `agent-${string}` | `kubelet-${string}`

/** Whoever is in it may do everything, whatever the rules say. */
export const masters = 'system:masters'
const everyone = 'system:authenticated'

export interface User {
  readonly name: string
  readonly groups: readonly string[]
}

/** Reads DIR/token.key, or makes and writes it. */
export async function ensureTokenKey(dir: string): Promise<string> {
  const path = join(dir, 'token.key')
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (!isMissing(error)) throw error
  }
  const key = randomBytes(32).toString('hex')
  await writeSecret(path, key)
  return key
}

export function issueToken(key: string, user: UserName): string {
  return `${user}.${seal(key, user)}`
}

/** The user of an Authorization header; undefined for anyone we do not know. */
export function authenticate(key: string, authorization: string | undefined): User | undefined {
  const [, name = '', given = ''] = /^Bearer ([a-z0-9.-]+)\.([0-9a-f]{64})$/i.exec(authorization ?? '') ?? []
  if (name === '' || !timingSafeEqual(Buffer.from(given.toLowerCase()), Buffer.from(seal(key, name)))) return undefined
  return userOf(name)
}

/**
 * Whom the asker speaks for: `kubectl --as USER`, by which an administrator tries out what others may do.
 * @throws StatusError 403 for anyone else, in the words of the real server.
 */
export function impersonate(user: User, name: string | undefined, groups: readonly string[]): User {
  if (name === undefined) return user
  if (!user.groups.includes(masters))
    throw new StatusError(
      403,
      'Forbidden',
      `users "${name}" is forbidden: User "${user.name}" cannot impersonate resource "users" in API group "" at the cluster scope`,
    )
  const [, namespace] = /^system:serviceaccount:([^:]+):[^:]+$/.exec(name) ?? []
  const implied = namespace === undefined ? [] : ['system:serviceaccounts', `system:serviceaccounts:${namespace}`]
  return { name, groups: [...groups, ...implied, everyone] }
}

/** Who a token's name stands for. */
export function userOf(name: UserName): User
export function userOf(name: string): User | undefined
export function userOf(name: string): User | undefined {
  if (name === 'admin') return { name: 'kubernetes-admin', groups: [masters, everyone] }
  if (name === 'controllers') return { name: 'system:kube-controller-manager', groups: [everyone] }
  const [, role, node] = /^(agent|kubelet)-(.+)$/.exec(name) ?? []
  if (role === 'kubelet') return { name: `system:node:${node}`, groups: ['system:nodes', everyone] }
  if (role === 'agent')
    return {
      name: 'system:serviceaccount:kube-system:fairlead',
      groups: ['system:serviceaccounts', 'system:serviceaccounts:kube-system', everyone],
    }
  return undefined
}

function seal(key: string, name: string): string {
  return createHmac('sha256', key).update(name).digest('hex')
}
