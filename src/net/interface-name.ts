// Interface names as the kernel takes them, and the ones we make.
import { createHash } from 'node:crypto'

declare const interfaceName: unique symbol
/** A Linux interface name that is safe in a batch line. Made by {@link parseInterfaceName} and {@link hostVethName}. */
export type InterfaceName = string & { readonly [interfaceName]: true }

/**
 * @throws {TypeError} unless 1 to 15 of `A-Z a-z 0-9 _ . -`, and neither "." nor ".." (kernel dev_valid_name, and no
 * shell or batch metacharacter).
 */
export function parseInterfaceName(text: string): InterfaceName {
  if (!/^[\w.-]{1,15}$/.test(text) || text === '.' || text === '..' || text.startsWith('-'))
    throw new TypeError(
      `Expected an interface name of 1 to 15 letters, digits, dots, dashes or underscores, got \`${text.slice(0, 40)}\``,
    )
  return text as InterfaceName
}

/**
 * The host end of an attachment: `veth` (which NetworkManager leaves alone) and 11 characters of a hash of what it
 * belongs to.
 */
export function hostVethName(containerId: string, podInterface: string): InterfaceName {
  const digest = createHash('sha256').update(`${containerId}/${podInterface}`).digest('hex')
  return `veth${digest.slice(0, 11)}` as InterfaceName
}
