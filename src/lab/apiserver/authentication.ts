// Who is asking: bearer tokens that carry their user's name, sealed with the lab's key. So there is no list of tokens to keep: whoever holds the key (the
// lab, as root) can give a node that joins later its kubeconfig, and the server knows it at once.
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isMissing, writeSecret } from './secret-files.ts'

/** "admin", "controllers", "agent-NODE" or "kubelet-NODE". */
export type UserName = 'admin' | 'controllers' | `agent-${string}` | `kubelet-${string}`

export interface User {
  readonly name: string
  readonly groups: readonly string[]
  /** The agents promise never to write: here they are held to it. */
  readonly readOnly: boolean
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

/** Who a token's name stands for. */
export function userOf(name: UserName): User
export function userOf(name: string): User | undefined
export function userOf(name: string): User | undefined {
  const everyone = 'system:authenticated'
  if (name === 'admin') return { name: 'kubernetes-admin', groups: ['system:masters', everyone], readOnly: false }
  if (name === 'controllers') return { name: 'system:kube-controller-manager', groups: [everyone], readOnly: false }
  const [, role, node] = /^(agent|kubelet)-(.+)$/.exec(name) ?? []
  if (role === 'kubelet') return { name: `system:node:${node}`, groups: ['system:nodes', everyone], readOnly: false }
  if (role === 'agent') return { name: 'system:serviceaccount:kube-system:fairlead', groups: ['system:serviceaccounts', 'system:serviceaccounts:kube-system', everyone], readOnly: true }
  return undefined
}

function seal(key: string, name: string): string {
  return createHmac('sha256', key).update(name).digest('hex')
}
