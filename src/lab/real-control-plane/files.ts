// What kube-apiserver reads at its start.
import { generateKeyPairSync } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { ensureTokenKey } from '../apiserver/authentication.ts'
import { ensureAuthority, issueServerCertificate } from '../apiserver/certificates.ts'
import { writeSecret } from '../apiserver/secret-files.ts'
import type { ApiServerFiles } from './arguments.ts'
import { tokenFile } from './tokens.ts'

/** @param dir has the lab's authority and token key, or gets them; the files go into a folder below it. */
export async function writeApiServerFiles(dir: string, address: string): Promise<ApiServerFiles> {
  const directory = join(dir, 'kube-apiserver')
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const pair = await issueServerCertificate(await ensureAuthority(dir), [address, 'kubernetes.default.svc'])
  // SEC 1: in PKCS #8 the API server finds the private key but not the public one.
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
