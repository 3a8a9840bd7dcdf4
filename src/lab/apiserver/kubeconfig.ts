// Kubeconfigs of the lab's users. Any process that can read the server's directory can write one, for example for a
// node that joins later.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { ensureTokenKey, issueToken, type UserName } from './authentication.ts'
import { writeSecret } from './secret-files.ts'

/** Returns DIR/USER.kubeconfig. */
export function kubeconfigPath(dir: string, user: UserName): string {
  return join(dir, `${user}.kubeconfig`)
}

/**
 * Writes a user's kubeconfig (0600), with the CA certificate and a token in it.
 * @returns its path.
 */
export async function writeKubeconfig(options: { dir: string; url: string; user: UserName }): Promise<string> {
  const { dir, url, user } = options
  const authority = await readFile(join(dir, 'ca.crt'))
  const token = issueToken(await ensureTokenKey(dir), user)
  const path = kubeconfigPath(dir, user)
  await writeSecret(path, stringify(kubeconfig({ url, user, token, authority: authority.toString('base64') })))
  return path
}

function kubeconfig({
  url,
  user,
  token,
  authority,
}: {
  url: string
  user: UserName
  token: string
  authority: string
}): object {
  const name = 'fairlead-lab'
  return {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name, cluster: { server: url, 'certificate-authority-data': authority } }],
    users: [{ name: user, user: { token } }],
    contexts: [{ name, context: { cluster: name, user } }],
    'current-context': name,
  }
}
