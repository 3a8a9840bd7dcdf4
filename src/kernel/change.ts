// A change to the kernel's network state: one line for one batch tool, and the object it is about.

export type Tool = 'ip' | 'bridge' | 'tc'

/** What a change is about, for logs and as the metric label of reconcile diffs. */
export type ObjectKind = 'link' | 'address' | 'route' | 'neighbour' | 'fdb' | 'bridge-port' | 'qdisc' | 'filter'

/**
 * Only the builders in this room (link-changes.ts, route-changes.ts, ...) make these, from parsed values: a line never
 * holds text that came from outside, since a newline in it would be a second command.
 */
export interface Change {
  readonly tool: Tool
  /**
   * The line as the tool's `-batch` takes it: the command without the tool's name. `TOOL LINE` can be pasted into a
   * shell.
   */
  readonly line: string
  readonly kind: ObjectKind
  /** The object in words, for errors: "route 10.244.2.0/24". */
  readonly object: string
}

/** Cuts the changes where their tool changes, so that they keep their order. */
export function runsOfOneTool(changes: readonly Change[]): { tool: Tool; run: Change[] }[] {
  const runs: { tool: Tool; run: Change[] }[] = []
  for (const change of changes) {
    const last = runs.at(-1)
    if (last?.tool === change.tool) last.run.push(change)
    else runs.push({ tool: change.tool, run: [change] })
  }
  return runs
}
