// Finds another program that serves Services on this node: a kube-proxy, in whatever mode.
import { hasCanary } from '../services/ownership.ts'
import type { Iptables } from '../iptables/iptables.ts'
import type { Kernel } from '../kernel/kernel.ts'
import { readNftTables } from '../kernel/nft-tables.ts'
import type { Family } from '../net/address.ts'
import { kubeProxyAt, type KubeProxyMode } from './kube-proxy-probe.ts'

/** What of another proxy is on this node, in one address family. */
export type OtherProxyPresence =
  /** It writes the chains that we write. */
  | { readonly rules: 'shared'; readonly mode: KubeProxyMode }
  /** It has rules of its own; where it does not answer, they may be left of one that has ended. */
  | { readonly rules: 'own'; readonly where: string; readonly answers: boolean }

export interface OtherProxyParts {
  readonly kernel: Kernel
  readonly iptables: Iptables
  /** Ports on which we answer ourselves. */
  readonly ownPorts: ReadonlySet<number>
  /** Ports that we are to answer on: kube-proxy's, where its configuration was taken over. */
  readonly configuredPorts: readonly number[]
}

/** kube-proxy's defaults for metrics and health. */
const usualPorts = [10249, 10256]

export class OtherProxy {
  readonly #parts: OtherProxyParts

  constructor(parts: OtherProxyParts) {
    this.#parts = parts
  }

  /**
   * Looks for another proxy's rules of this family.
   * @returns undefined where there are none
   * @throws {CommandError}
   */
  async presence(family: Family): Promise<OtherProxyPresence | undefined> {
    const { kernel, iptables } = this.#parts
    if (await hasCanary(iptables, family)) return { rules: 'shared', mode: 'iptables' }
    // The canary comes when kube-proxy starts, this chain with its first sync.
    const inOtherBackend =
      (await iptables.isInOtherBackend(family, 'mangle', 'KUBE-PROXY-CANARY')) &&
      (await iptables.isInOtherBackend(family, 'nat', 'KUBE-MARK-MASQ'))
    if (inOtherBackend) return { rules: 'own', where: 'the other backend of iptables', answers: true }
    const mode = await this.mode()
    if (mode === 'ipvs' && (await kernel.links()).some(({ name }) => name === 'kube-ipvs0'))
      return { rules: 'shared', mode }
    return (await this.hasTable(family))
      ? { rules: 'own', where: tableOf(family), answers: mode === 'nftables' || mode === 'unknown' }
      : undefined
  }

  /** Checks for the table of kube-proxy's nftables mode, which it writes whole. @throws {CommandError} */
  async hasTable(family: Family): Promise<boolean> {
    const tables = await readNftTables(this.#parts.kernel)
    return tables.some((table) => `table ${table.family} ${table.name}` === tableOf(family))
  }

  /** Deletes the table of kube-proxy's nftables mode. @throws {CommandError} */
  async deleteTable(family: Family): Promise<void> {
    await this.#parts.kernel.applyNft(`delete ${tableOf(family)}\n`)
  }

  /**
   * Asks where a kube-proxy answers unless it is told otherwise. Undefined where none does, which is no proof that none
   * runs: one that has started beside us finds us at its addresses.
   */
  async mode(): Promise<KubeProxyMode | undefined> {
    const { ownPorts, configuredPorts } = this.#parts
    for (const port of new Set([...usualPorts, ...configuredPorts])) {
      const mode = ownPorts.has(port) ? undefined : await kubeProxyAt({ host: '127.0.0.1', port })
      if (mode !== undefined) return mode
    }
    return undefined
  }
}

/** "table ip kube-proxy" */
function tableOf(family: Family): string {
  return `table ${family === 4 ? 'ip' : 'ip6'} kube-proxy`
}
