// What the agent knows about this node's pods, and the disk behind it. Every change is on disk before it counts.
import { join } from 'node:path'
import type { Logger } from 'pino'
import type { ClusterPod } from '../cluster/pod.ts'
import type { Address } from '../net/address.ts'
import { formatCidr } from '../net/cidr.ts'
import type { InterfaceName } from '../net/interface-name.ts'
import { type Mac, macOf } from '../net/mac.ts'
import type { PodAttachment } from './attachment-codec.ts'
import { AttachmentStore } from './attachment-store.ts'
import type { BridgeSettings } from './bridge/desired.ts'
import { named } from './find-attachment.ts'
import { gatewayOf, Ipam, type PoolStatus, type RestingAddress } from './ipam.ts'
import { loadResting, saveResting } from './resting-store.ts'

export interface PodNetworkSettings extends BridgeSettings {
  readonly nodeName: string
  /** Share a bridge that others have ports on until those are gone. */
  readonly takeOver: boolean
}

export class NodeState {
  /** By host interface. */
  readonly attachments = new Map<InterfaceName, PodAttachment>()
  /** Host veths of ADDs under way: they exist before their attachment does. */
  readonly wiring = new Set<InterfaceName>()
  /** Host veths of ours that may be of running pods of which too little is known, and why: they are left alone. */
  strays: ReadonlyMap<InterfaceName, string> = new Map()
  /** Whether new pods hold a /32 and have all their traffic routed. */
  routed = false
  /** Why there are no settings yet. */
  waitsFor = 'the cluster is not known yet: the agent waits for the API server'
  /** Why the bridge does not serve pods; undefined once it does. */
  bridgeProblem: string | undefined = 'it has not been set up yet'
  readonly #judged = Promise.withResolvers<void>()
  #settings: PodNetworkSettings | undefined
  #ipam: Ipam | undefined
  /** What rests while there is no pool yet, or lies outside it. */
  #resting: RestingAddress[] = []
  /** Addresses of another network's pods on a bridge that we share: not to be given out while they are there. */
  readonly #heldBack = new Set<Address>()
  readonly #store: AttachmentStore
  readonly #restingPath: string
  readonly #clock: () => number
  readonly #log: Logger
  readonly #rebuilt: (pods: readonly string[]) => void
  /** What rested before the start is not known: the file was lost, or this is the node's first agent. */
  #restingLost = false

  constructor(parts: {
    stateDir: string
    clock: () => number
    log: Logger
    /** Called with what has been rebuilt: "attachment of shop/web-0". */
    rebuilt?: (pods: readonly string[]) => void
  }) {
    this.#store = new AttachmentStore(join(parts.stateDir, 'attachments'), parts.log)
    this.#restingPath = join(parts.stateDir, 'resting.json')
    this.#clock = parts.clock
    this.#log = parts.log
    this.#rebuilt = parts.rebuilt ?? (() => {})
  }

  /** Resolves once it is known whether pods can be served; an agent that has just started does not know yet. */
  get judged(): Promise<void> {
    return this.#judged.promise
  }

  judge(): void {
    this.#judged.resolve()
  }

  /** Undefined until the node's podCIDR is known. */
  get settings(): PodNetworkSettings | undefined {
    return this.#settings
  }

  /** Reads what an earlier agent left. */
  load(): void {
    for (const attachment of this.#store.load()) this.attachments.set(attachment.hostInterface, attachment)
    const resting = loadResting(this.#restingPath, this.#log)
    this.#resting = resting ?? []
    this.#restingLost = resting === undefined
  }

  /**
   * Lets addresses rest that the node has met and no pod of ours has, once and only where it is not known what rested
   * before the start.
   * @param met asked only then
   */
  async restMet(met: () => Promise<readonly Address[]>): Promise<void> {
    if (!this.#restingLost || this.#ipam === undefined) return
    const now = this.#clock()
    this.#ipam.restore((await met()).map((address) => ({ address, since: now })))
    this.#restingLost = false
  }

  /** @throws {PodCidrError} for podCIDRs that cannot serve pods; nothing has changed then. */
  configure(settings: PodNetworkSettings): void {
    if (settings.podCidrs.length === 0)
      throw new TypeError(`Expected node ${settings.nodeName} to have a podCIDR, got none`)
    const former = this.#settings?.podCidrs ?? []
    if (settings.podCidrs.map(formatCidr).join() !== former.map(formatCidr).join()) {
      const ipam = new Ipam(settings.podCidrs, this.#clock)
      for (const { addresses } of this.attachments.values()) ipam.reserve(addresses)
      ipam.reserve([...this.#heldBack])
      ipam.restore([...this.#resting, ...(this.#ipam?.resting() ?? [])])
      this.#resting = []
      this.#ipam = ipam
    }
    this.#settings = settings
  }

  /** @throws {PoolExhaustedError}; nothing before configure. */
  allocate(): Address[] {
    return this.#ipam?.allocate() ?? []
  }

  /** Gives back the addresses of an ADD that failed. They rest too: someone may have seen them. */
  release(addresses: readonly Address[]): void {
    if (this.#ipam === undefined) this.#resting.push(...addresses.map((address) => ({ address, since: this.#clock() })))
    this.#ipam?.release(addresses)
    try {
      saveResting(this.#restingPath, this.#ipam?.resting() ?? this.#resting)
    } catch (error) {
      this.#log.warn(
        { err: error },
        `${this.#restingPath} could not be written: after a restart, addresses freed just before it may be given again at once`,
      )
    }
  }

  /** Writes what is not, or not whole, on disk: another program has emptied /run. @returns whether any was missing */
  restoreFiles(): boolean {
    const lost = [...this.attachments.values()].filter((attachment) => !this.#store.has(attachment))
    for (const attachment of lost) this.#store.save(attachment)
    if (lost.length > 0) saveResting(this.#restingPath, this.#ipam?.resting() ?? this.#resting)
    return lost.length > 0
  }

  record(attachment: PodAttachment): void {
    const former = this.attachments.get(attachment.hostInterface)
    this.#store.save(attachment)
    if (former !== undefined) this.#store.deleteFormer(former, attachment)
    this.attachments.set(attachment.hostInterface, attachment)
  }

  /** Takes over pods that run and have no record. */
  adopt(rebuilt: readonly PodAttachment[]): void {
    if (rebuilt.length === 0) return
    for (const attachment of rebuilt) {
      this.record(attachment)
      this.#ipam?.reserve(attachment.addresses)
    }
    const names = rebuilt.map(({ hostInterface, addresses, pod }) =>
      pod === undefined ? `${hostInterface} (${addresses.join(', ')})` : `${pod.namespace}/${pod.name}`,
    )
    this.#log.warn({ pods: names }, 'running pods had no record; rebuilt from the kernel and the runtime')
    this.#rebuilt(names.map((name) => `attachment of ${name}`))
  }

  /** @param podsHere pods of this node with addresses of their own; asked only where a pod has no name yet. */
  name(podsHere: () => Iterable<ClusterPod>): void {
    const nameless = [...this.attachments.values()].filter(({ pod }) => pod === undefined)
    if (nameless.length > 0) for (const attachment of named(nameless, podsHere())) this.record(attachment)
  }

  /** The file goes last: killed before that, the next agent finds the attachment without its veth and reclaims it. */
  forget(attachment: PodAttachment): void {
    this.attachments.delete(attachment.hostInterface)
    // A record that a state directory has kept too long may name an address that is another pod's by now.
    const held = new Set([...this.attachments.values()].flatMap(({ addresses }) => addresses))
    this.release(attachment.addresses.filter((address) => !held.has(address)))
    this.#store.delete(attachment)
  }

  /**
   * @param seen who was found on a bridge that we share: those found before still count, as they may only be silent;
   * undefined when others' pods are all gone
   */
  holdBack(seen: readonly Address[] | undefined): void {
    if (seen === undefined) {
      this.#ipam?.release([...this.#heldBack])
      this.#heldBack.clear()
      return
    }
    const own = new Set([...this.attachments.values()].flatMap(({ addresses }) => addresses))
    const others = seen.filter((address) => !own.has(address))
    this.#ipam?.reserve(others)
    for (const address of others) this.#heldBack.add(address)
  }

  /** @returns the MAC of the pod or gateway of ours that has the address. */
  macOf(address: Address): Mac | undefined {
    const pods = [...this.attachments.values()]
    const [first] = this.#settings?.podCidrs ?? []
    const owner = pods.find(({ addresses }) => addresses.includes(address))
    if (owner !== undefined || first === undefined) return owner?.podMac
    const served = [...(this.#settings?.podCidrs ?? []), ...pods.flatMap(({ podCidrs }) => podCidrs)]
    return served.some((cidr) => gatewayOf(cidr) === address) ? macOf('gateway', gatewayOf(first)) : undefined
  }

  pools(): PoolStatus[] {
    return this.#ipam?.status() ?? []
  }
}
