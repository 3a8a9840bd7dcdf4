// Authenticates bearer tokens. A token is a user name with an HMAC under the lab's key, so the server keeps no list of
// tokens. Any process that can read the key (the lab, as root) can write a kubeconfig for a node that joins later, and
// the server accepts it at once.
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isMissing, writeSecret } from './secret-files.ts'
import { StatusError } from './status-error.ts'

/** "admin", "controllers", "agent-NODE" or "kubelet-NODE". */
export type UserName = 'admin' | 'controllers' | `agent-${string}` | `kubelet-${string}`

/** Members may do everything, whatever the RBAC rules say. */
export const masters = 'system:masters'
const authenticated = 'system:authenticated'

export interface User {
  readonly name: string
  readonly groups: readonly string[]
}

/** Reads DIR/token.key, or creates it. */
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
  return `${user}.${sign(key, user)}`
}

/** Returns the user of an Authorization header; undefined when the token is missing or invalid. */
export function authenticate(key: string, authorization: string | undefined): User | undefined {
  const [, name = '', given = ''] = /^Bearer ([a-z0-9.-]+)\.([0-9a-f]{64})$/i.exec(authorization ?? '') ?? []
  if (name === '' || !timingSafeEqual(Buffer.from(given.toLowerCase()), Buffer.from(sign(key, name)))) return undefined
  return userOf(name)
}

/**
 * Returns the user that a request acts as: `kubectl --as USER`, which administrators use to try out permissions.
 * @throws StatusError 403 when the user may not impersonate, with the real server's message.
 */
export function impersonate(user: User, name: string | undefined, groups: readonly string[]): User {
  if (name === undefined) return user
  if (!user.groups.includes(masters))
    throw new StatusError(
      403,
      'Forbidden',
      `users "${name}" is forbidden: User "${user.name}" cannot impersonate resource "users" ` +
        'in API group "" at the cluster scope',
    )
  const [, namespace] = /^system:serviceaccount:([^:]+):[^:]+$/.exec(name) ?? []
  const implied = namespace === undefined ? [] : ['system:serviceaccounts', `system:serviceaccounts:${namespace}`]
  return { name, groups: [...groups, ...implied, authenticated] }
}

/** Returns the user and groups of a token's name. */
export function userOf(name: UserName): User
export function userOf(name: string): User | undefined
export function userOf(name: string): User | undefined {
  if (name === 'admin') return { name: 'kubernetes-admin', groups: [masters, authenticated] }
  if (name === 'controllers') return { name: 'system:kube-controller-manager', groups: [authenticated] }
  const [, role, node] = /^(agent|kubelet)-(.+)$/.exec(name) ?? []
  if (role === 'kubelet') return { name: `system:node:${node}`, groups: ['system:nodes', authenticated] }
  if (role === 'agent')
    return {
      name: 'system:serviceaccount:kube-system:fairlead',
      groups: ['system:serviceaccounts', 'system:serviceaccounts:kube-system', authenticated],
    }
  return undefined
}

function sign(key: string, name: string): string {
  return createHmac('sha256', key).update(name).digest('hex')
}
