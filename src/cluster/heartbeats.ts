// When the kubelets last reported. A heartbeat changes nothing of a node that anybody programs, and 1,000 nodes have
// three a second: they are noted beside the snapshot of Nodes and wake nobody.

/** A kubelet whose status does not change reports every 5 minutes (nodeStatusReportFrequency). */
const staleAfterMs = 900_000

interface RawNode {
  readonly metadata?: { readonly name?: unknown } | null
  readonly status?: {
    readonly conditions?: readonly ({ readonly type?: unknown; readonly lastHeartbeatTime?: unknown } | null)[] | null
  } | null
}

export class Heartbeats {
  /** By the node's name; ms since the epoch, by the clock of its machine. */
  readonly #at = new Map<string, number>()

  /** Takes the heartbeat of a Node as the API server sends it. */
  note(raw: unknown): void {
    const { metadata, status } = raw as RawNode
    const ready = Array.isArray(status?.conditions)
      ? status.conditions.find((condition) => condition?.type === 'Ready')
      : undefined
    if (typeof metadata?.name !== 'string') return
    this.#at.set(metadata.name, Date.parse(String(ready?.lastHeartbeatTime)) || 0)
  }

  /**
   * Returns the nodes whose last heartbeat is more than 15 minutes before the newest of all. Clocks are compared with
   * each other and not with ours: when the API server was out of reach for all, none is stale.
   *
   * @param names of the nodes that there are; others are forgotten
   */
  stale(names: ReadonlySet<string>): ReadonlySet<string> {
    for (const name of this.#at.keys()) if (!names.has(name)) this.#at.delete(name)
    let newest = 0
    for (const at of this.#at.values()) newest = Math.max(newest, at)
    return new Set([...this.#at].filter(([, at]) => newest - at > staleAfterMs).map(([name]) => name))
  }
}
