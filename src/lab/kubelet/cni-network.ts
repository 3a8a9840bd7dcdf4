// Reads the state of the node's CNI configuration like a runtime does, repeatedly. It decides whether the node is
// ready.
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  chooseConfigFile,
  compareVersions,
  type NetworkConfig,
  parseNetworkConfig,
  requestConfig,
} from './cni-config.ts'
import { callPlugin } from './cni-plugin.ts'

export type NetworkState =
  | { readonly ready: true; readonly config: NetworkConfig }
  /** `config` is set when the configuration exists but its plugin is not ready. It suffices for a DEL. */
  | { readonly ready: false; readonly message: string; readonly config: NetworkConfig | undefined }

/**
 * Checks the network like containerd answers CRI Status.
 * @returns ready when there is a configuration and, from CNI 1.1.0 on, STATUS of each plugin succeeds.
 */
export async function readNetworkState(directory = '/etc/cni/net.d'): Promise<NetworkState> {
  let config: NetworkConfig | undefined
  try {
    const file = chooseConfigFile(await readdir(directory))
    if (file === undefined)
      return { ready: false, message: `cni plugin not initialized: no configuration in ${directory}`, config }
    config = parseNetworkConfig(await readFile(join(directory, file), 'utf8'))
    if (compareVersions(config.cniVersion, '1.1.0') >= 0) {
      for (const plugin of config.plugins)
        await callPlugin({ command: 'STATUS', type: plugin.type, stdin: requestConfig(config, plugin) })
    }
    return { ready: true, config }
  } catch (error) {
    return { ready: false, message: error instanceof Error ? error.message : String(error), config }
  }
}
