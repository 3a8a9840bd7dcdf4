// A node's own containerd, started inside the lab's node as its service would be: root, state and pods' namespaces are
// the node's and go with it; our binary is the only CNI plugin there. A containerd of the machine is not involved.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { execa } from 'execa'
import type { Lab, NodeName } from '../../src/lab/layout.ts'
import { inNode } from '../../src/lab/nodes.ts'
import { until } from '../netns/agent-machine.ts'
import { CriClient } from './cri-client.ts'
import { podImage } from './pod-image.ts'

/** No OOM scores (they need CAP_SYS_RESOURCE), profiles or huge pages: a machine for tests may lack each of them. */
const configOf = (socket: string): string => `
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
[grpc]
  address = "${socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${podImage}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  disable_hugetlb_controller = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/opt/cni/bin"
    conf_dir = "/etc/cni/net.d"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "native"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
[[plugins."io.containerd.transfer.v1.local".unpack_config]]
  platform = "linux"
  snapshotter = "native"
`

/**
 * A node has a /sys of its own, without the machine's control groups: each hierarchy is mounted as the machine has it
 * (a line of /proc/self/cgroup is NUMBER:CONTROLLERS:PATH).
 */
const startScript = `
if [ -z "$(ls /sys/fs/cgroup)" ]; then
  if [ "$(cut -d: -f2 /proc/self/cgroup)" = "" ]; then
    mount -n -t cgroup2 cgroup2 /sys/fs/cgroup
  else
    mount -n -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
    cut -d: -f2 /proc/self/cgroup | while read -r hierarchy; do
      case $hierarchy in
        '') continue ;;
        name=*) options=none,$hierarchy ;;
        *) options=$hierarchy ;;
      esac
      directory=/sys/fs/cgroup/\${hierarchy#name=}
      mkdir "$directory"
      mount -n -t cgroup -o "$options" cgroup "$directory"
    done
  fi
fi
echo $$ > "$1"
exec containerd --config "$2"
`

export class Containerd {
  readonly #inNode: (command: readonly string[]) => string[]
  readonly #files: Readonly<Record<'socket' | 'config' | 'log' | 'pid', string>>
  #process: ChildProcess | undefined
  #client: CriClient | undefined

  constructor(lab: Lab, node: NodeName) {
    this.#inNode = (command) => inNode(lab, node, command)
    // In the lab's directory, which its nodes see under the machine's path.
    const file = (kind: string): string => join(lab.directory, `containerd-${node}.${kind}`)
    this.#files = { socket: file('sock'), config: file('toml'), log: file('log'), pid: file('pid') }
  }

  /** @throws {Error} while it does not run. */
  get cri(): CriClient {
    if (this.#client === undefined) throw new Error('containerd does not run')
    return this.#client
  }

  /** Returns when it answers. @throws {Error} with its last words when it ends instead. */
  async start(): Promise<void> {
    const { socket, config, log, pid } = this.#files
    writeFileSync(config, configOf(socket))
    const output = openSync(log, 'a')
    const [file = '', ...args] = this.#inNode(['sh', '-euc', startScript, 'sh', pid, config])
    const started = spawn(file, args, { stdio: ['ignore', output, output] })
    closeSync(output)
    this.#process = started
    this.#client = new CriClient(socket)
    await until(async () => {
      if (started.exitCode !== null) throw new Error(`containerd ended: ${readFileSync(log, 'utf8').slice(-2000)}`)
      return await this.cri.call('Version', { version: 'v1' }).then(
        () => true,
        () => false,
      )
    }, 'containerd to answer')
  }

  /** An archive as `docker save` writes it, and the name of the image in it. */
  async importImage(archive: string, image: string): Promise<void> {
    const [file = '', ...args] = this.#inNode([
      'ctr',
      '--address',
      this.#files.socket,
      '--namespace',
      'k8s.io',
      'images',
      'import',
      '--snapshotter',
      'native',
      archive,
    ])
    await execa(file, args)
    await until(
      async () => (await this.cri.call('ImageStatus', { image: { image } })).image !== null,
      'the image to be known to CRI',
    )
  }

  /** As a crash does it: containers and their shims live on. */
  async kill(): Promise<void> {
    const ended = once(this.#process!, 'exit')
    this.#client?.close()
    this.#client = undefined
    const [file = '', ...args] = this.#inNode(['kill', '-KILL', readFileSync(this.#files.pid, 'utf8').trim()])
    await execa(file, args)
    await ended
  }
}
