// A container of a manifest in deploy/, without a runtime: its capabilities, its read-only root and /proc/sys, and its
// mounts, and nothing more of the node.
import { quoteWord } from '../../src/kernel/shell-words.ts'

export interface PodSpec {
  readonly securityContext: { readonly seccompProfile: { readonly type: 'RuntimeDefault' } }
  readonly initContainers?: readonly Container[]
  readonly containers: readonly Container[]
  readonly volumes: readonly Volume[]
}

export interface Container {
  readonly name: string
  readonly args?: readonly string[]
  readonly securityContext: {
    readonly readOnlyRootFilesystem: true
    readonly allowPrivilegeEscalation?: boolean
    readonly capabilities: { readonly drop: readonly ['ALL']; readonly add?: readonly string[] }
  }
  readonly volumeMounts: readonly {
    readonly name: string
    readonly mountPath: string
    readonly readOnly?: boolean
    readonly mountPropagation?: 'HostToContainer'
  }[]
}

interface Volume {
  readonly name: string
  readonly hostPath?: {
    readonly path: string
    readonly type: 'Directory' | 'DirectoryOrCreate' | 'File' | 'FileOrCreate'
  }
  readonly configMap?: { readonly name: string }
}

export interface ContainerOptions {
  readonly pod: PodSpec
  readonly container: Container
  /** Where the node's paths are, of those that are not at their own place: "/opt/cni/bin". */
  readonly hostPaths: Readonly<Record<string, string>>
  /** Directories with the files of ConfigMaps, by name. */
  readonly configMaps: Readonly<Record<string, string>>
  /** In place of what the manifest adds. */
  readonly capabilities?: readonly string[]
}

/**
 * What leads a command into the container: `unshare --mount ...`. The image is this machine's own root, seen through an
 * overlay that only adds the directories to mount on; to be run on a machine of its own (agent-machine.ts), whose /run
 * is shared, as on every node.
 */
export function intoContainer({
  pod,
  container,
  hostPaths,
  configMaps,
  capabilities = container.securityContext.capabilities.add ?? [],
}: ContainerOptions): string[] {
  const root = '/run/container/root'
  const mounts = container.volumeMounts.map(({ name, mountPath, readOnly = false, mountPropagation }) => {
    const { hostPath, configMap } = pod.volumes.find((volume) => volume.name === name) ?? {}
    const source =
      hostPath === undefined ? configMaps[configMap?.name ?? ''] : (hostPaths[hostPath.path] ?? hostPath.path)
    if (source === undefined) throw new Error(`Expected a volume ${name}, got none that a node has`)
    return {
      source,
      type: hostPath?.type ?? 'Directory',
      target: mountPath,
      readOnly,
      propagation: mountPropagation === 'HostToContainer' ? 'rslave' : 'rprivate',
    }
  })
  const script = [
    'mount --make-rslave /run; mkdir -p /run/container; mount -t tmpfs tmpfs /run/container; mkdir /run/container/added /run/container/root',
    ...mounts.flatMap(({ source, type, target }) => {
      const file = type.startsWith('File')
      const made = type.endsWith('OrCreate')
        ? [file ? `[ -e ${quoteWord(source)} ] || : >${quoteWord(source)}` : `mkdir -p ${quoteWord(source)}`]
        : []
      const at = quoteWord(`/run/container/added${target}`)
      return [...made, file ? `mkdir -p "$(dirname ${at})"; : >${at}` : `mkdir -p ${at}`]
    }),
    `mount -t overlay overlay -o lowerdir=/run/container/added:/ ${root}`,
    `mount -t proc proc ${root}/proc; mount --bind ${root}/proc/sys ${root}/proc/sys; mount -o remount,bind,ro ${root}/proc/sys; mount --rbind /dev ${root}/dev; mount -t sysfs -o ro sysfs ${root}/sys`,
    ...mounts.flatMap(({ source, target, readOnly, propagation }) => {
      const at = quoteWord(`${root}${target}`)
      return [
        `mount --rbind ${quoteWord(source)} ${at}; mount --make-${propagation} ${at}`,
        ...(readOnly ? [`mount -o remount,bind,ro ${at}`] : []),
      ]
    }),
    `exec chroot ${root} setpriv --bounding-set ${['-all', ...capabilities.map((name) => `+${name.toLowerCase()}`)].join(',')} -- "$@"`,
  ]
  return ['unshare', '--mount', '--propagation', 'unchanged', 'sh', '-ec', script.join('\n'), 'sh']
}
