// A NetworkPolicy in the tour's namespace, and what a node's nftables have of it: from the pod's address to a chain,
// and on to the sets that its rules name.
import type { Manifest } from '../objects.ts'
import type { PodView } from '../views.ts'
import type { Exhibit } from './step.ts'
import { namespace, nodeOf, type Tour } from './tour.ts'

export type Direction = 'ingress' | 'egress'

/** The policies are there while the body runs, and gone when it ends. */
export async function withPolicies<T>(
  tour: Tour,
  specs: Readonly<Record<string, object>>,
  body: () => Promise<T>,
): Promise<T> {
  const policies = Object.entries(specs).map(([name, spec]): Manifest => ({
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name },
    spec,
  }))
  try {
    for (const policy of policies) await tour.create(policy)
    return await body()
  } finally {
    for (const policy of policies) await tour.delete(policy)
  }
}

/**
 * The pod's verdicts in this direction, once they are of exactly these policies.
 * @throws {Error} when they are not within 10 s.
 */
export async function verdictsOf(
  tour: Tour,
  pod: PodView,
  direction: Direction,
  policies: readonly string[],
): Promise<Exhibit[]> {
  return await tour.eventually(`${direction} of ${pod.name} is judged by ${policies.join(' and ')}`, async () => {
    const element = await lookUp(tour, pod, direction)
    const chain = / : jump (\S+)/.exec(element.lines[0] ?? '')?.[1]
    if (chain === undefined) return undefined
    const rules = await show(tour, pod, ['chain', 'inet', 'fairlead', chain], /comment|accept|return|goto/)
    if (!rules.lines.some((line) => line.includes(`comment "${namespace}: ${policies.toSorted().join(', ')}"`)))
      return undefined
    const sets = new Set(rules.lines.flatMap((line) => Array.from(line.matchAll(/@(\S+)/g), ([, name]) => name ?? '')))
    return [
      element,
      rules,
      ...(await Promise.all(
        Array.from(
          sets,
          async (set) => await show(tour, pod, ['set', 'inet', 'fairlead', set], /comment|elements|^\s+[\d.]/),
        ),
      )),
    ]
  })
}

/** The element that leads from the pod's address to its chain. */
async function lookUp(tour: Tour, pod: PodView, direction: Direction): Promise<Exhibit> {
  return oneElement(await show(tour, pod, ['map', 'inet', 'fairlead', `${direction}4`]), pod)
}

/** How many packets to or from the pod were denied. */
export async function denialsOf(tour: Tour, pod: PodView, direction: Direction): Promise<Exhibit> {
  return oneElement(await show(tour, pod, ['set', 'inet', 'fairlead', `denied-${direction}4`]), pod)
}

/** nft lists all elements as one list: of it, the pod's alone. */
function oneElement(exhibit: Exhibit, { address }: PodView): Exhibit {
  const elements = /elements = \{([^}]*)\}/.exec(exhibit.lines.join(' '))?.[1] ?? ''
  return {
    ...exhibit,
    lines: elements
      .split(',')
      .map((element) => element.trim().replaceAll(/\s+/g, ' '))
      .filter((element) => element.startsWith(`${address} `)),
  }
}

async function show(tour: Tour, pod: PodView, what: readonly string[], match = /./): Promise<Exhibit> {
  return await tour.show(nodeOf(pod), ['nft', 'list', ...what], match)
}
