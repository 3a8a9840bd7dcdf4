// The folders of deploy/ that `kubectl apply -k` takes, and what each makes.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { execa, execaSync } from 'execa'
import { parse, parseAllDocuments } from 'yaml'

export const deploy = join(import.meta.dirname, '../../deploy')

export interface Manifest {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: { readonly name: string; readonly namespace?: string }
}

/** Components are no folders of their own: others name them. */
export const folders: readonly string[] = readdirSync(deploy).filter(
  (folder) => kindOf(join(deploy, folder, 'kustomization.yaml')) === 'Kustomization',
)

/** Why there is no kubectl with a kustomize that knows components (1.21 and later); undefined where there is one. */
export const kubectlMissing: string | undefined = askKubectl()

/** All objects of a folder. @throws {Error} in kubectl's words. */
export async function build(folder: string): Promise<Manifest[]> {
  const { stdout } = await execa('kubectl', ['kustomize', join(deploy, folder)])
  return parseAllDocuments(stdout).map((document) => document.toJS() as Manifest)
}

function kindOf(file: string): unknown {
  return existsSync(file) ? (parse(readFileSync(file, 'utf8')) as { kind?: unknown }).kind : undefined
}

function askKubectl(): string | undefined {
  const { stdout } = execaSync('kubectl', ['version', '--client', '-o', 'json'], { reject: false })
  const [, minor] = /"gitVersion": "v1\.(\d+)\./.exec(stdout ?? '') ?? []
  if (minor === undefined) return 'there is no kubectl'
  return Number(minor) < 21 ? `kubectl is 1.${minor}, older than 1.21` : undefined
}
