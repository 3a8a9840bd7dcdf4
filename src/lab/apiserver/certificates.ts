// The lab's certificate authority and the server certificate. The authority is kept, so that kubeconfigs survive a
// restart; the server certificate is issued at each start, for the current addresses.
import { createPrivateKey, webcrypto } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
// Must come before @peculiar/x509, which does not load without it.
import 'reflect-metadata'
import * as x509 from '@peculiar/x509'
import { canonicalAddress } from '../../net/address.ts'
import { isMissing, writeSecret } from './secret-files.ts'

export interface KeyPair {
  /** PEM. */
  readonly certificate: string
  /** PEM, PKCS #8. */
  readonly key: string
}

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const validDays = 3650

x509.cryptoProvider.set(webcrypto)

/** Reads DIR/ca.crt and DIR/ca.key, or creates them. */
export async function ensureAuthority(dir: string): Promise<KeyPair> {
  try {
    return {
      certificate: await readFile(join(dir, 'ca.crt'), 'utf8'),
      key: await readFile(join(dir, 'ca.key'), 'utf8'),
    }
  } catch (error) {
    if (!isMissing(error)) throw error
  }
  const keys = await generateKeys()
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: 'CN=fairlead-lab',
    keys,
    ...validity(),
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  const pair = { certificate: certificate.toString('pem'), key: await exportKey(keys.privateKey) }
  await writeSecret(join(dir, 'ca.key'), pair.key)
  await writeSecret(join(dir, 'ca.crt'), pair.certificate)
  return pair
}

/** Issues a server certificate for these addresses and names, signed by the authority. */
export async function issueServerCertificate(authority: KeyPair, hosts: readonly string[]): Promise<KeyPair> {
  const issuer = new x509.X509Certificate(authority.certificate)
  const keys = await generateKeys()
  const certificate = await x509.X509CertificateGenerator.create({
    subject: 'CN=kube-apiserver',
    issuer: issuer.subject,
    publicKey: keys.publicKey,
    signingKey: await importKey(authority.key),
    ...validity(),
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension(
        hosts.map((value) => ({ type: canonicalAddress(value) === undefined ? 'dns' : 'ip', value })),
      ),
      await x509.AuthorityKeyIdentifierExtension.create(issuer),
    ],
  })
  return { certificate: certificate.toString('pem'), key: await exportKey(keys.privateKey) }
}

/** Begins one hour ago, for nodes whose clocks are slow. */
function validity(): { notBefore: Date; notAfter: Date } {
  return { notBefore: new Date(Date.now() - 3_600_000), notAfter: new Date(Date.now() + validDays * 86_400_000) }
}

async function generateKeys(): Promise<webcrypto.CryptoKeyPair> {
  return await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
}

async function exportKey(key: webcrypto.CryptoKey): Promise<string> {
  return x509.PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY')
}

async function importKey(pem: string): Promise<webcrypto.CryptoKey> {
  const der = createPrivateKey(pem).export({ type: 'pkcs8', format: 'der' })
  return await webcrypto.subtle.importKey('pkcs8', der, algorithm, false, ['sign'])
}
