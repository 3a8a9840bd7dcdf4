// The lab's users as the real API server takes them: a file with all their tokens (--token-auth-file), which it reads
// at its start alone. So it names every node that can ever join; their kubeconfigs are written as they do, with the
// same tokens.
import { issueToken, type UserName, userOf } from '../apiserver/authentication.ts'
import { maxNodes, nodeNumbered } from '../layout.ts'

/** Lines of token, user, uid and groups (Kubernetes, "Static token file"). @param key seals the tokens. */
export function tokenFile(key: string): string {
  const nodes = Array.from({ length: maxNodes }, (_, i) => nodeNumbered(i + 1))
  const users: UserName[] = [
    'admin',
    'controllers',
    ...nodes.flatMap((node) => [`agent-${node}`, `kubelet-${node}`] as const),
  ]
  return users.map((user) => `${tokenLine(key, user)}\n`).join('')
}

function tokenLine(key: string, user: UserName): string {
  const { name, groups } = userOf(user)
  return [issueToken(key, user), name, user, `"${groups.join(',')}"`].join(',')
}
