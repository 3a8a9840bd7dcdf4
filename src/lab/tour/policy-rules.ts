// Creates NetworkPolicies in the tour's namespace, and shows the nftables state of a node for them: the element that
// leads from a pod's address to a chain, the chain, and the sets of its rules.
import type { Manifest } from '../objects.ts'
import type { PodView } from '../views.ts'
import type { Exhibit } from './step.ts'
import { namespace, nodeOf, type Tour } from './tour.ts'

export type Direction = 'ingress' | 'egress'

/** Creates policies, runs the body, and deletes them. */
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
 * Shows the rules for a pod in one direction, once they come from exactly these policies.
 * @throws {Error} when they do not within 10 s.
 */
export async function verdictsOf(
  tour: Tour,
  pod: PodView,
  direction: Direction,
  policies: readonly string[],
): Promise<Exhibit[]> {
  return await tour.eventually(`${direction} of ${pod.name} is filtered by ${policies.join(' and ')}`, async () => {
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

/** Shows the map element that leads from the pod's address to its chain. */
async function lookUp(tour: Tour, pod: PodView, direction: Direction): Promise<Exhibit> {
  return oneElement(await show(tour, pod, ['map', 'inet', 'fairlead', `${direction}4`]), pod)
}

/** Shows how many packets to or from the pod were denied. */
export async function denialsOf(tour: Tour, pod: PodView, direction: Direction): Promise<Exhibit> {
  return oneElement(await show(tour, pod, ['set', 'inet', 'fairlead', `denied-${direction}4`]), pod)
}

/** Keeps the pod's element of the list that nft prints. */
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
