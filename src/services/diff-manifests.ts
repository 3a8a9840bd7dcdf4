// Manifests -> how the rules of one node, as its kernel holds them now, differ from what they should be.
import type { Logger } from 'pino'
import type { ProtectedPorts } from '../cluster/protected-ports.ts'
import type { Iptables } from '../iptables/iptables.ts'
import type { Kernel } from '../kernel/kernel.ts'
import { familyOf } from '../net/address.ts'
import { type ClusterObjects, clusterObjects, type Manifest, nodeNamed, servedFamilies } from './manifests.ts'
import type { ServicesOptions } from './options.ts'
import type { RulesDiff } from './rules-diff.ts'
import { Services } from './services.ts'

export interface ManifestsDiff {
  /** Of the families that the Services or the Node have. */
  readonly diffs: readonly RulesDiff[]
  readonly problems: readonly string[]
}

/** Nothing is written. @throws {CommandError}, and {Error} when there are Nodes and none of that name. */
export async function diffManifests(
  manifests: readonly Manifest[],
  nodeName: string,
  {
    options,
    protect,
    kernel,
    iptables,
    log,
  }: {
    options: ServicesOptions
    /** What no Service gets, as the manifests tell it. */
    protect: (objects: ClusterObjects) => ProtectedPorts
    kernel: Kernel
    iptables: Iptables
    log: Logger
  },
): Promise<ManifestsDiff> {
  const objects = clusterObjects(manifests)
  const { services, slices, nodes, problems } = objects
  const node = nodeNamed(nodes, nodeName)
  const concerned = new Set([
    ...servedFamilies(services),
    ...node.podCidrs.map(({ family }) => family),
    ...node.internalAddresses.map(familyOf),
  ])
  const rules = new Services({
    kernel,
    iptables,
    log,
    families: ([4, 6] as const).filter((family) => concerned.has(family)),
  })
  rules.configure(options)
  rules.protect(protect(objects))
  rules.update(
    new Map(services.map((service) => [keyOf(service), service])),
    new Map(slices.map((slice) => [keyOf(slice), slice])),
    node,
  )
  const { diffs, problems: conflicts } = await rules.preview()
  return { diffs, problems: [...problems, ...conflicts.map(({ sentence }) => sentence)] }
}

function keyOf({ namespace, name }: { namespace: string; name: string }): string {
  return `${namespace}/${name}`
}
