// Readiness probes, sent like the kubelet does: from the node to the pod's address.
import { spawn } from 'node:child_process'
import http from 'node:http'
import { connect } from 'node:net'
import type { ContainerPort, Probe } from './pod-manifest.ts'

export interface ProbeTarget {
  readonly host: string
  readonly ports: readonly ContainerPort[]
  /** Returns the command that runs another one in the container. */
  readonly enter: (command: readonly string[]) => readonly string[]
}

/**
 * Runs a probe. Never rejects.
 * @returns whether it succeeded within its timeout.
 */
export async function runProbe(probe: Probe, target: ProbeTarget): Promise<boolean> {
  const limit = probe.timeoutSeconds * 1000
  if (probe.exec !== undefined) return await exitsWithZero(target.enter(probe.exec.command), limit)
  if (probe.httpGet !== undefined)
    return await answersHttp(target.host, portNumber(probe.httpGet.port, target.ports), probe.httpGet.path, limit)
  if (probe.tcpSocket !== undefined)
    return await acceptsTcp(target.host, portNumber(probe.tcpSocket.port, target.ports), limit)
  return true
}

function portNumber(port: number | string, ports: readonly ContainerPort[]): number {
  return typeof port === 'number' ? port : (ports.find(({ name }) => name === port)?.containerPort ?? Number(port))
}

async function acceptsTcp(host: string, port: number, limit: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>()
  const socket = connect({ host, port, timeout: limit })
  socket.on('connect', () => resolve(true))
  socket.on('timeout', () => resolve(false))
  socket.on('error', () => resolve(false))
  return await promise.finally(() => socket.destroy())
}

async function answersHttp(host: string, port: number, path: string, limit: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>()
  const request = http.get(
    { host, port, path, agent: false, signal: AbortSignal.timeout(limit) },
    ({ statusCode = 0 }) => resolve(statusCode >= 200 && statusCode < 400),
  )
  request.on('error', () => resolve(false))
  return await promise.finally(() => request.destroy())
}

async function exitsWithZero([file = '', ...args]: readonly string[], limit: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>()
  const child = spawn(file, args, { stdio: 'ignore', timeout: limit, killSignal: 'SIGKILL' })
  child.on('error', () => resolve(false))
  child.on('exit', (code) => resolve(code === 0))
  return await promise
}
