// Interface names that the kernel accepts, and the names of our own interfaces.
import { createHash } from 'node:crypto'

declare const interfaceName: unique symbol
/** A Linux interface name that is safe in a line of an `ip -batch` file. Only this file makes them. */
export type InterfaceName = string & { readonly [interfaceName]: true }

/**
 * Parses an interface name: the rules of the kernel's dev_valid_name, without shell and batch metacharacters.
 * @throws {TypeError} unless the text is 1 to 15 of `A-Z a-z 0-9 _ . -`, is neither "." nor "..", and does not start
 * with "-".
 */
export function parseInterfaceName(text: string): InterfaceName {
  if (!/^[\w.-]{1,15}$/.test(text) || text === '.' || text === '..' || text.startsWith('-'))
    throw new TypeError(
      `Expected an interface name of 1 to 15 letters, digits, dots, dashes or underscores, ` +
        `got \`${text.slice(0, 40)}\``,
    )
  return text as InterfaceName
}

/**
 * Names the host end of a pod's veth pair: `veth`, a prefix that NetworkManager ignores, and 11 hex digits of a hash of
 * the container ID and the interface name in the pod.
 */
export function hostVethName(containerId: string, podInterface: string): InterfaceName {
  const digest = createHash('sha256').update(`${containerId}/${podInterface}`).digest('hex')
  return `veth${digest.slice(0, 11)}` as InterfaceName
}
