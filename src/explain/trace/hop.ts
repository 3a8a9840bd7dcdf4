// What a trace says: the hops of a packet, each with the kernel object that decides there.

export interface Hop {
  /** Where it is: "pod shop/web-1", "nat KUBE-SERVICES", "fairlead.1". */
  readonly at: string
  /** The rule, route or entry that decides, as its tool prints it; "" where there is none. */
  readonly object: string
  /** What that means for the packet, where the object does not say it. */
  readonly note?: string | undefined
  /** How to see it. */
  readonly command: string
  /** The packet goes no further. */
  readonly broken?: Broken | undefined
}

export interface Broken {
  /** What is wrong, and where. */
  readonly problem: string
  /** What to do. */
  readonly remedy: string
  /** A NetworkPolicy that would let the packet pass. */
  readonly policy?: object | undefined
}

/** The way of a packet, up to where dice are thrown. */
export interface Path {
  /** Of the connections that come here, how many go this way. */
  readonly chance: number
  readonly hops: readonly Hop[]
  /** None where the packet has arrived, or is stopped by the last hop. */
  readonly branches: readonly Path[]
}

export interface Trace {
  /** "pod shop/web-1 (10.244.1.5, node1)" */
  readonly from: string
  readonly to: string
  readonly path: Path
  /**
   * What the answers rest on, where somebody should know: an agent that did not answer, an address that was assumed.
   */
  readonly remarks: readonly string[]
}

export function arrives({ hops, branches }: Path): boolean {
  return hops.every(({ broken }) => broken === undefined) && branches.every(arrives)
}

/** The same path with hops before it. */
export function after(hops: readonly Hop[], path: Path): Path {
  return { ...path, hops: [...hops, ...path.hops] }
}

/** A path to its end, or to where it breaks. */
export function straight(hops: readonly Hop[], chance = 1): Path {
  return { chance, hops, branches: [] }
}
