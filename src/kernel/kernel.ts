// What the rooms may ask of the kernel. One implementation drives the real one (linux-kernel.ts); the rooms' pure parts
// need none.
import type { Family } from '../net/address.ts'
import type { Cidr } from '../net/cidr.ts'
import type { InterfaceName } from '../net/interface-name.ts'
import type { Change } from './change.ts'
import type { CommandError } from './command-error.ts'
import type { NamespaceShell } from './namespace-shell.ts'
import type { AroundWrite, NftObject } from './nftables.ts'
import type { FdbEntry, FixedNeighbour, Link, NamespaceState, Neighbour, Route } from './observed.ts'
import type { UdpFlow, UdpFlowFilter } from './udp-flow.ts'

/**
 * One network namespace, seen through iproute2, nftables and /proc/sys. Every method throws CommandError when the tool
 * itself fails.
 */
export interface Kernel extends AsyncDisposable {
  /** Runs other programs in the same namespace, such as iptables (src/iptables). */
  readonly shell: NamespaceShell

  /**
   * Runs the changes in their order through the running batch sessions, and answers which of them failed. A failed line
   * does not stop those after it. Calls made at the same time share a batch.
   */
  apply(changes: readonly Change[]): Promise<readonly Failure[]>
  /** The same inside another namespace (a pod's), in one process start that costs this one's event loop nothing. */
  applyIn(netns: string, changes: readonly Change[]): Promise<readonly Failure[]>

  /** All links with their details and addresses (`ip -j -d addr show`). */
  links(): Promise<readonly Link[]>
  /** The links of another namespace. */
  linksIn(netns: string): Promise<readonly Link[]>
  /** All that another namespace holds of links, routes of these families and fixed neighbours. */
  stateIn(netns: string, families: readonly Family[]): Promise<NamespaceState>
  /**
   * The named namespaces that this one has an id for: id -> path. Every veth gives its peer's namespace an id; one
   * that no name in /run/netns leads to is left out.
   */
  namespacePaths(): Promise<ReadonlyMap<number, string>>
  /** Routes of the main table; `ours` keeps only those that carry our protocol number. */
  routes(family: Family, filter?: { ours?: boolean; device?: InterfaceName }): Promise<readonly Route[]>
  neighbours(family: Family, device: InterfaceName): Promise<readonly Neighbour[]>
  /** Of both families. */
  fixedNeighbours(device: InterfaceName): Promise<readonly FixedNeighbour[]>
  fdb(device: InterfaceName): Promise<readonly FdbEntry[]>

  /**
   * Whether the checksums of what the device sends are left to what is under it; undefined where there is no choice.
   */
  txChecksum(device: InterfaceName): Promise<boolean | undefined>
  setTxChecksum(device: InterfaceName, on: boolean): Promise<void>

  /** @param key as a path below /proc/sys: "net/ipv4/ip_forward". Undefined where the kernel has no such key. */
  readSysctl(key: string): Promise<string | undefined>
  writeSysctl(key: string, value: string): Promise<void>

  /**
   * Applies text to `nft -f -`: one transaction, all of it in force at once or nothing. nft sees no tables but those
   * named {@link ourNftTable}, whatever their family, so that it cannot fail on those of other programs.
   */
  applyNft(text: string): Promise<void>
  /**
   * What `nft -j list` prints of "table inet x", "set inet x y", ...; undefined where there is no such thing. One set
   * or map is cheap; for anything else nft reads the whole table.
   */
  listNft(what: string): Promise<readonly NftObject[] | undefined>

  /** Runs each later {@link applyNft} inside `wrap`: what counts transactions has to know which are ours. */
  aroundNft(wrap: AroundWrite): void

  /**
   * Calls back when another program has made a transaction in nftables, but for iptables, which reaches no tables but
   * its own. A trigger to look, no more.
   * @returns whether such changes are told of now: not at first, and nowhere without xtables-monitor
   */
  onRulesetChange(listener: () => void): () => boolean

  /**
   * Lists the UDP entries of conntrack's default zone, one walk through the table.
   * @param seen receives each flow as it is read
   */
  readUdpFlows(family: Family, seen: (flow: UdpFlow) => void): Promise<void>
  /**
   * Deletes the UDP entries of conntrack's default zone that match one of the filters. Each filter walks the whole
   * table: coalesce.
   * @returns how many entries were deleted; none is no failure
   */
  deleteUdpFlows(family: Family, filters: readonly UdpFlowFilter[]): Promise<number>
  /** Reads the blocks that the kernel takes for its own addresses (`addrtype --dst-type LOCAL`): 127.0.0.0/8 is one. */
  localNetworks(family: Family): Promise<readonly Cidr[]>

  /**
   * Calls back when links, addresses, routes, neighbours or FDB entries change, at most once per 100 ms. It is only a
   * trigger: the kernel is silent about some changes (routes that vanish with their device), so look at the state
   * itself.
   */
  onChange(listener: () => void): void

  /**
   * Calls back when links, addresses or routes have changed in another namespace that ours has an id for, with that id
   * ({@link LinkPeer}); with undefined when news of any may have been missed. A trigger to look, no more: without
   * CAP_NET_BROADCAST it is never called.
   */
  onNamespaceChange(listener: (namespace: number | undefined) => void): void
}

export interface Failure {
  readonly change: Change
  readonly error: CommandError
}

/** The route protocol number that marks a route as ours (`proto 98`). */
export const ourProtocol = 98
/** The name that marks a table of nftables as ours, in every family. */
export const ourNftTable = 'fairlead'
/** The link group that marks a link as ours, from its creation on. */
export const ourGroup = 98
/** The link group of host veths whose pods are gone and that wait to be deleted together. */
export const retiredGroup = 99
