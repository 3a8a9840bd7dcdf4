// Writes the files that kube-apiserver reads at its start.
import { generateKeyPairSync } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { ensureTokenKey, issueToken, type UserName, userOf } from '../apiserver/authentication.ts'
import { ensureAuthority, issueServerCertificate } from '../apiserver/certificates.ts'
import { writeSecret } from '../apiserver/secret-files.ts'
import { maxNodes, nodeNumbered } from '../layout.ts'
import type { ApiServerFiles } from './arguments.ts'

/**
 * Writes the files into a subfolder.
 * @param dir the folder with the lab's CA and token key, which are created if missing.
 */
export async function writeApiServerFiles(dir: string, address: string): Promise<ApiServerFiles> {
  const directory = join(dir, 'kube-apiserver')
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const pair = await issueServerCertificate(await ensureAuthority(dir), [address, 'kubernetes.default.svc'])
  // In SEC 1 format: from a PKCS #8 file the API server reads only the private key and not the public one.
  const { privateKey } = generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    privateKeyEncoding: { type: 'sec1', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  })
  const write = async (name: string, text: string): Promise<string> => {
    const file = join(directory, name)
    await writeSecret(file, text)
    return file
  }
  return {
    directory,
    certificate: await write('server.crt', pair.certificate),
    key: await write('server.key', pair.key),
    tokens: await write('tokens.csv', tokenFile(await ensureTokenKey(dir))),
    serviceAccountKey: await write('service-accounts.key', privateKey),
  }
}

/**
 * Lists the tokens of all the lab's users (--token-auth-file): lines of token, user, uid and groups (Kubernetes,
 * "Static token file"). The API server reads the file only at its start, so it names every node that may ever join.
 * Kubeconfigs with the same tokens are written when a node joins.
 * @param key the key that signs the tokens.
 */
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
