// Running CNI plugins as a runtime does, with a clock on them.
import { spawn } from 'node:child_process'

export interface PluginCall {
  readonly binary: string
  readonly command: 'ADD' | 'DEL'
  readonly containerId: string
  readonly netns: string
  readonly conf: object
}

/**
 * Runs one plugin. Answers its stdout and the wall time in ms from before the spawn to the end of its output.
 * @throws when it fails, with its own words.
 */
export async function runPlugin(call: PluginCall): Promise<{ stdout: string; ms: number }> {
  const start = process.hrtime.bigint()
  const child = spawn(call.binary, {
    env: {
      CNI_COMMAND: call.command,
      CNI_CONTAINERID: call.containerId,
      CNI_NETNS: call.netns,
      CNI_IFNAME: 'eth0',
      CNI_PATH: '/usr/lib/cni',
      PATH: process.env['PATH'],
    },
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
  child.stdin.end(JSON.stringify(call.conf))
  const code = await new Promise<number | null>((resolve, reject) => child.once('error', reject).once('close', resolve))
  const ms = Number(process.hrtime.bigint() - start) / 1e6
  if (code !== 0) throw new Error(`${call.binary} ${call.command} ${call.containerId}: ${stdout || stderr}`)
  return { stdout, ms }
}

/** A contender: one way to attach and detach a pod. Both answer the wall time in ms, of all its plugins together. */
export interface Contender {
  add(pod: Pod, hostPort?: number): Promise<number>
  delete(pod: Pod, hostPort?: number): Promise<number>
}

export interface Pod {
  readonly containerId: string
  readonly netns: string
}

/** Ours: one plugin, the agent behind it. */
export function fairlead(binary: string): Contender {
  const conf = (hostPort?: number): object => ({
    cniVersion: '1.0.0',
    name: 'fairlead',
    type: 'fairlead-cni',
    capabilities: { portMappings: true },
    ...(hostPort === undefined
      ? {}
      : { runtimeConfig: { portMappings: [{ hostPort, containerPort: 80, protocol: 'tcp' }] } }),
  })
  const run = async (command: 'ADD' | 'DEL', pod: Pod, hostPort?: number): Promise<number> =>
    (await runPlugin({ binary, command, ...pod, conf: conf(hostPort) })).ms
  return { add: (pod, hostPort) => run('ADD', pod, hostPort), delete: (pod, hostPort) => run('DEL', pod, hostPort) }
}

/**
 * The reference plugins: bridge with host-local, and portmap chained where a host port is asked for, as libcni runs
 * them: one after the other, DEL in reverse.
 */
export function reference(directory: string, subnet: string): Contender {
  const common = { cniVersion: '1.0.0', name: 'reference' }
  const bridge = {
    ...common,
    type: 'bridge',
    bridge: 'ref0',
    isGateway: true,
    hairpinMode: true,
    ipam: { type: 'host-local', subnet, dataDir: '/run/reference-ipam', routes: [{ dst: '0.0.0.0/0' }] },
  }
  const portmap = (hostPort: number): object => ({
    ...common,
    type: 'portmap',
    capabilities: { portMappings: true },
    runtimeConfig: { portMappings: [{ hostPort, containerPort: 80, protocol: 'tcp' }] },
  })
  return {
    async add(pod, hostPort) {
      const first = await runPlugin({ binary: `${directory}/bridge`, command: 'ADD', ...pod, conf: bridge })
      if (hostPort === undefined) return first.ms
      const second = await runPlugin({
        binary: `${directory}/portmap`,
        command: 'ADD',
        ...pod,
        conf: { ...portmap(hostPort), prevResult: JSON.parse(first.stdout) as unknown },
      })
      return first.ms + second.ms
    },
    async delete(pod, hostPort) {
      const first =
        hostPort === undefined
          ? 0
          : (await runPlugin({ binary: `${directory}/portmap`, command: 'DEL', ...pod, conf: portmap(hostPort) })).ms
      return first + (await runPlugin({ binary: `${directory}/bridge`, command: 'DEL', ...pod, conf: bridge })).ms
    },
  }
}
