// Finds etcd and kube-apiserver by the convention of Kubernetes' envtest: KUBEBUILDER_ASSETS names their folder.
import { accessSync, constants } from 'node:fs'
import { join } from 'node:path'
import { ConfigError } from '../../agent/config.ts'

export interface Assets {
  readonly etcd: string
  readonly apiServer: string
}

/** @throws {ConfigError} when the variable is not set, or its folder lacks a program. */
export function findAssets(environment: NodeJS.ProcessEnv): Assets {
  const folder = environment['KUBEBUILDER_ASSETS'] ?? ''
  if (folder === '')
    throw new ConfigError(
      '--control-plane envtest needs KUBEBUILDER_ASSETS: set it to a folder that holds etcd and kube-apiserver',
    )
  return { etcd: program(folder, 'etcd'), apiServer: program(folder, 'kube-apiserver') }
}

function program(folder: string, name: string): string {
  const file = join(folder, name)
  try {
    accessSync(file, constants.X_OK)
  } catch (error) {
    throw new ConfigError(
      `Expected KUBEBUILDER_ASSETS to name a folder with etcd and kube-apiserver, found no program ${file}`,
      { cause: error },
    )
  }
  return file
}
