// NetworkPolicies -> the nftables table `inet fairlead` of this node, and `bridge fairlead` (wires.ts), which holds
// pods to their addresses.
//
// A packet from pod 10.244.1.5 to pod 10.244.2.9, on the node of either, when forwarded (bridged packets are too, by
// bridge-nf-call-iptables):
// 1. A reply, or what is related to a connection, is let through: the connection was judged by its client's packets,
//   and each of these still is.
// 2. `ip saddr vmap @egress4`: is 10.244.1.5 a pod of ours that policies isolate for egress? Then its element jumps to
//   the chain of just these policies. A rule that
//      admits the packet returns here; none does, and it is dropped in deny-egress, where the pod's counter stands.
//   3. `ip daddr vmap @ingress4`: the same for 10.244.2.9 and ingress; a rule that admits it accepts it.
// What neither map knows passes: two look-ups, however many policies there are. The node's own traffic with its pods is
// not forwarded and never comes here. Services are resolved by then (DNAT comes before), and addresses not yet
// masqueraded (that comes after).
//
// Rules name peers by sets (`ip saddr @pods4-...`), which all rules share that choose the same pods. So a pod that
// comes or goes changes elements of sets and nothing else; a policy that changes brings new chains beside the old ones,
// and the maps move over, in one transaction. The kernel has no order of policies to keep: they are a union. Tiers of
// ordered ones would stand before it as maps and chains of their own.
//
// A table deleted, a rule flushed, an element taken out: `look` finds it and the next sync mends it. Stopping leaves
// the table in force.
import { isDeepStrictEqual } from 'node:util'
import type { Logger } from 'pino'
import type { ClusterNamespace } from '../cluster/namespace.ts'
import type { ClusterNetworkPolicy } from '../cluster/network-policy.ts'
import type { ClusterNode } from '../cluster/node.ts'
import type { ClusterPod } from '../cluster/pod.ts'
import { CommandError } from '../kernel/command-error.ts'
import type { Kernel } from '../kernel/kernel.ts'
import type { Address } from '../net/address.ts'
import { AppliedTable, writeTables } from './apply.ts'
import { type Denial, Denials } from './denials.ts'
import { Desired } from './desired.ts'
import type { TableDiff } from './diff.ts'
import { tunnelAddresses } from './ip-blocks.ts'
import { type LocalPod, localPods, objectOf } from './local-pod.ts'
import type { Look } from './look-schedule.ts'
import { Members } from './members.ts'
import { type Misaddressed, MisaddressedCounts } from './misaddressed.ts'
import type { RenderContext } from './policy-rules.ts'
import type { PolicySettings } from './settings.ts'
import { type Subject, Subjects } from './subjects.ts'
import { type PolicyTable, policyTable } from './table.ts'
import { wiresOf, wireTable } from './wires.ts'

export interface PolicySnapshots {
  readonly policies: ReadonlyMap<string, ClusterNetworkPolicy>
  readonly namespaces: ReadonlyMap<string, ClusterNamespace>
  readonly pods: ReadonlyMap<string, ClusterPod>
  readonly nodes: ReadonlyMap<string, ClusterNode>
}

export class Policies {
  readonly #kernel: Kernel
  readonly #members = new Members()
  readonly #subjects = new Subjects()
  readonly #desired = new Desired(this.#members)
  readonly #applied: AppliedTable
  readonly #wires: AppliedTable
  readonly #log: Logger
  /** The kernel has no nftables for bridges. */
  #wireless = false
  readonly #denials = new Denials()
  readonly #misaddressed = new MisaddressedCounts()
  #settings: PolicySettings | undefined
  #context: RenderContext = { families: [], tunnels: [] }
  #locals: ReadonlyMap<string, LocalPod> = new Map()
  #isolated: readonly Subject[] = []
  #nodes: ReadonlyMap<string, ClusterNode> = new Map()

  constructor(parts: { kernel: Kernel; log: Logger }) {
    this.#kernel = parts.kernel
    this.#applied = new AppliedTable(policyTable, parts.kernel)
    this.#wires = new AppliedTable(wireTable, parts.kernel)
    this.#log = parts.log
  }

  /** Pods of this node that policies isolate, as of the last {@link sync} that went through. */
  get isolated(): readonly Subject[] {
    return this.#isolated
  }

  /** Takes effect with the next {@link sync}. */
  configure(settings: PolicySettings): void {
    if (!isDeepStrictEqual(settings, this.#settings)) this.#settings = settings
  }

  /**
   * Brings the kernel to what the snapshots say; writes what differs from the last time. Calls must not overlap, nor
   * with {@link look}.
   * @param wired pods that we have given an interface
   * @throws {CommandError} when the kernel does not take it; the next call writes everything anew
   */
  async sync(snapshots: PolicySnapshots, wired: Iterable<LocalPod>): Promise<TableDiff> {
    const settings = this.#settings
    if (settings === undefined) throw new TypeError('Expected policies to be configured before they are synced')
    const { pods, policies, namespaces, nodes } = snapshots
    this.#locals = localPods(wired, pods, settings.nodeName, this.#locals)
    const subjects = this.#subjects.update(this.#locals.values(), pods, policies)
    this.#members.update(pods, namespaces, this.#knownAddresses(pods))
    const diff = await this.#write(this.#desired.plan(subjects, settings, this.#contextOf(settings, nodes)), subjects)
    this.#isolated = subjects.filter(({ ingress, egress }) => ingress !== undefined || egress !== undefined)
    return diff
  }

  /**
   * Looks for what another program has changed; the next {@link sync} mends it.
   * @returns a name for each.
   * @throws {CommandError}
   */
  async look(which: Look): Promise<readonly string[]> {
    const { damaged, counts } = await this.#applied.look(which)
    if (which === 'maps') return damaged
    this.#denials.note(counts, this.#isolated)
    const wires = await this.#wires.look(which)
    this.#misaddressed.note(wires.counts, this.#isolated)
    return [...damaged, ...wires.damaged.map((each) => `${each} of ${wireTable}`)]
  }

  /** As of the last look at them or at everything. */
  get denials(): readonly Denial[] {
    return this.#denials.readings
  }

  /** What of isolated pods was dropped since an address in it was not theirs, as of then. */
  get misaddressed(): readonly Misaddressed[] {
    return this.#misaddressed.readings
  }

  /** Removes the tables. @returns whether there was one. @throws {CommandError} */
  async clean(): Promise<boolean> {
    const found: string[] = []
    for (const table of [policyTable, wireTable]) if (await this.#has(table)) found.push(table)
    if (found.length > 0) await this.#kernel.applyNft(found.map((table) => `delete table ${table}\n`).join(''))
    return found.length > 0
  }

  /** A node that has no nft, or nothing of it for bridges, holds no table of ours either. */
  async #has(table: string): Promise<boolean> {
    try {
      return (await this.#kernel.listNft(`table ${table}`)) !== undefined
    } catch (error) {
      if (error instanceof CommandError && (error.kind === 'not-installed' || error.stderr.includes('not supported')))
        return false
      throw error
    }
  }

  /** Where the kernel has nothing for bridges, it is said once, and all else holds. */
  async #write(table: PolicyTable | undefined, subjects: readonly Subject[]): Promise<TableDiff> {
    const parts = { kernel: this.#kernel, log: this.#log }
    const policies = { applied: this.#applied, table }
    if (this.#wireless) return await writeTables(parts, [policies])
    try {
      return await writeTables(parts, [policies, { applied: this.#wires, table: wiresOf(subjects) }])
    } catch (error) {
      if (!(error instanceof CommandError && error.stderr.includes('not supported'))) throw error
      // It may be something else that is not.
      const diff = await writeTables(parts, [policies])
      this.#wireless = true
      this.#log.warn(
        'the kernel has no nftables for bridges (CONFIG_NF_TABLES_BRIDGE): a pod that policies isolate can send with the address of another, and gets broadcasts; all else of policies holds',
      )
      return diff
    }
  }

  /** For pods that we have wired ourselves: sooner than the API server says. */
  #knownAddresses(pods: ReadonlyMap<string, ClusterPod>): ReadonlyMap<string, readonly Address[]> {
    const known = new Map<string, readonly Address[]>()
    for (const local of this.#locals.values()) {
      if (objectOf(local, pods) === undefined) continue
      // A pod with two interfaces of ours is two of these.
      const others = known.get(local.key)
      known.set(local.key, others === undefined ? local.addresses : [...others, ...local.addresses])
    }
    return known
  }

  #contextOf({ families }: PolicySettings, nodes: ReadonlyMap<string, ClusterNode>): RenderContext {
    if (nodes === this.#nodes && families === this.#context.families) return this.#context
    this.#nodes = nodes
    const context: RenderContext = { families, tunnels: tunnelAddresses(nodes.values()) }
    if (!isDeepStrictEqual(context, this.#context)) this.#context = context
    return this.#context
  }
}
