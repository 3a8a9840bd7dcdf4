// The result of a trace: the hops of a packet, each with the kernel object that decides there.

export interface Hop {
  /** The place: "pod shop/web-1", "nat KUBE-SERVICES", "fairlead.1". */
  readonly at: string
  /** The rule, route or entry that decides, as its tool prints it; "" when there is none. */
  readonly object: string
  /** What the object means for the packet, unless the object itself says it. */
  readonly note?: string | undefined
  /** A command that shows the object. */
  readonly command: string
  /** Set on the hop at which the packet stops. */
  readonly broken?: Broken | undefined
}

export interface Broken {
  /** What is wrong, and where. */
  readonly problem: string
  /** What to do about it. */
  readonly remedy: string
  /** A NetworkPolicy that would let the packet pass. */
  readonly policy?: object | undefined
}

/** The hops of a packet up to a random choice, and a branch for each outcome. */
export interface Path {
  /** The share of the connections that take this path, among those that reach its first hop. */
  readonly chance: number
  readonly hops: readonly Hop[]
  /** Empty when the last hop delivers or stops the packet. */
  readonly branches: readonly Path[]
}

export interface Trace {
  /** "pod shop/web-1 (10.244.1.5, node1)" */
  readonly from: string
  readonly to: string
  readonly path: Path
  /** Limits of the trace: an agent that did not answer, a port that was assumed. */
  readonly remarks: readonly string[]
}

/** What every remedy says about state that the agent maintains. */
export const agentRepairs = 'the agent puts it back within 15 s while it runs (fairlead status)'

/** Returns true when every connection arrives. */
export function arrives({ hops, branches }: Path): boolean {
  return hops.every(({ broken }) => broken === undefined) && branches.every(arrives)
}

/** Returns the path with hops before it. */
export function prepend(hops: readonly Hop[], path: Path): Path {
  return { ...path, hops: [...hops, ...path.hops] }
}

/** Builds a path without branches. */
export function singlePath(hops: readonly Hop[], chance = 1): Path {
  return { chance, hops, branches: [] }
}

/** Returns true when the packet stops at the last of the hops. */
export function isBroken(hops: readonly Hop[]): boolean {
  return hops.at(-1)?.broken !== undefined
}
