// Executes a CNI plugin like libcni.
import { join } from 'node:path'
import { execa } from 'execa'

export interface CniCall {
  readonly command: 'ADD' | 'DEL' | 'STATUS'
  /** The name of the binary. */
  readonly type: string
  readonly stdin: object
  /** Undefined for STATUS, which concerns no container. */
  readonly container?: {
    readonly id: string
    readonly netns: string
    readonly interface: string
    readonly args: string
  }
}

export const pluginDirectory = '/opt/cni/bin'

export class CniPluginError extends Error {
  override readonly name = 'CniPluginError'
  readonly code: number

  constructor(call: CniCall, code: number, message: string) {
    super(`CNI ${call.command} by ${call.type} failed with code ${code}: ${message}`)
    this.code = code
  }
}

/**
 * Executes a plugin.
 * @returns the JSON that it prints; undefined when it prints nothing.
 * @throws {CniPluginError} with the message of the plugin.
 */
export async function callPlugin(call: CniCall, directory = pluginDirectory): Promise<unknown> {
  const { container } = call
  const env = {
    CNI_COMMAND: call.command,
    CNI_PATH: directory,
    ...(container === undefined
      ? {}
      : {
          CNI_CONTAINERID: container.id,
          CNI_NETNS: container.netns,
          CNI_IFNAME: container.interface,
          CNI_ARGS: container.args,
        }),
  }
  const { failed, stdout, stderr, shortMessage } = await execa(join(directory, call.type), [], {
    env,
    input: JSON.stringify(call.stdin),
    reject: false,
  })
  if (!failed) return stdout === '' ? undefined : JSON.parse(stdout)
  const { code, msg, details } = parseErrorDocument(stdout)
  throw new CniPluginError(call, code ?? 999, [msg ?? (stderr || shortMessage), details].filter(Boolean).join('; '))
}

function parseErrorDocument(text: string): { code?: number; msg?: string; details?: string } {
  try {
    return JSON.parse(text) as { code?: number; msg?: string; details?: string }
  } catch {
    return {}
  }
}
