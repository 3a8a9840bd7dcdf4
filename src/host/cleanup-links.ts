// Which links are ours to remove: those of a kind that we make and with our mark, whatever their names, since names are
// configurable.
import type { Change } from '../kernel/change.ts'
import { ourGroup, retiredGroup } from '../kernel/kernel.ts'
import { deleteLink } from '../kernel/link-changes.ts'
import type { Link } from '../kernel/observed.ts'
import { parseInterfaceName } from '../net/interface-name.ts'

export interface LinkRemovals {
  readonly changes: readonly Change[]
  /** One sentence for each that bears our mark and has to stay. */
  readonly kept: readonly string[]
}

/** Pods' wires first, then what their limits need, then what they hung from. Pure. */
export function linkRemovals(links: readonly Link[]): LinkRemovals {
  const veths = links.filter(({ type, group }) => type === 'veth' && (group === ourGroup || group === retiredGroup))
  const marked = (kind: string): Link[] => links.filter(({ type, group }) => type === kind && group === ourGroup)
  const going = new Set(veths.map(({ name }) => name))
  const portsOf = (bridge: Link): Link[] =>
    links.filter(({ name, master }) => master === bridge.name && !going.has(name))
  const bridges = Map.groupBy(marked('bridge'), (bridge) => portsOf(bridge).length > 0)
  return {
    changes: [...veths, ...marked('ifb'), ...(bridges.get(false) ?? []), ...marked('vxlan')].map(({ name }) =>
      deleteLink(parseInterfaceName(name)),
    ),
    kept: (bridges.get(true) ?? []).map(
      (bridge) =>
        `${bridge.name} stays with its addresses: another program has ports on it (${portsOf(bridge)
          .map(({ name }) => name)
          .join(', ')}); when they are gone, run this again`,
    ),
  }
}
