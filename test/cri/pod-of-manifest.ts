// From a pod of a manifest in deploy/ to what kubelet asks the runtime for: pure.
import type { Container, PodSpec } from '../netns/pod-container.ts'
import type { ContainerConfig } from './cri-client.ts'

/** A container's own /proc/sys is read-only; kubelet's whole list has nothing more of ours. */
const readonlyPaths = ['/proc/sys']

export interface Surroundings {
  readonly image: string
  readonly attempt: number
  readonly env: Readonly<Record<string, string>>
  /** Directories of the node with the files of ConfigMaps, by name. */
  readonly configMaps: Readonly<Record<string, string>>
}

/** A container of a pod in the node's own network namespace. */
export function containerConfigOf(
  pod: PodSpec,
  { name, args = [], securityContext, volumeMounts }: Container,
  { image, attempt, env, configMaps }: Surroundings,
): ContainerConfig {
  const { capabilities, readOnlyRootFilesystem, allowPrivilegeEscalation = true } = securityContext
  return {
    metadata: { name, attempt },
    image: { image },
    args,
    envs: Object.entries(env).map(([key, value]) => ({ key, value })),
    mounts: volumeMounts.map(({ name, mountPath, readOnly = false, mountPropagation }) => {
      const { hostPath, configMap } = pod.volumes.find((volume) => volume.name === name) ?? {}
      const source = hostPath?.path ?? configMaps[configMap?.name ?? '']
      if (source === undefined)
        throw new Error(`Expected a volume ${name} that is a path of the node or a ConfigMap at hand`)
      return {
        containerPath: mountPath,
        hostPath: source,
        readonly: readOnly,
        propagation: mountPropagation === 'HostToContainer' ? 'PROPAGATION_HOST_TO_CONTAINER' : 'PROPAGATION_PRIVATE',
      }
    }),
    logPath: `${name}-${attempt}.log`,
    linux: {
      securityContext: {
        capabilities: { addCapabilities: capabilities.add ?? [], dropCapabilities: capabilities.drop },
        namespaceOptions: { network: 'NODE' },
        readonlyRootfs: readOnlyRootFilesystem,
        noNewPrivs: !allowPrivilegeEscalation,
        readonlyPaths,
        seccomp: { profileType: pod.securityContext.seccompProfile.type },
      },
    },
  }
}

/** What kubelet makes of the node's paths before it mounts them: a shell script. */
export function hostPathScript({ volumes }: PodSpec): string {
  return volumes
    .flatMap(({ hostPath }) => {
      if (hostPath?.type === 'DirectoryOrCreate') return [`mkdir -p ${hostPath.path}`]
      return hostPath?.type === 'FileOrCreate' ? [`touch ${hostPath.path}`] : []
    })
    .join('\n')
}
