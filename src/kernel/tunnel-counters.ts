// What a node's kernel has counted of what came through the tunnel: by it two nodes tell which way packets get lost, and why.
import { readFileSync } from 'node:fs'
import type { InterfaceName } from '../net/interface-name.ts'

export interface TunnelCounters {
  /** Packets that the device has received; 0 where there is no such device. */
  readonly received: number
  /** TCP segments that this network namespace has thrown away for their checksum. */
  readonly checksumErrors: number
}

export function readTunnelCounters(device: InterfaceName): TunnelCounters {
  return { received: receivedBy(device, readFileSync('/proc/net/dev', 'utf8')), checksumErrors: tcpCounter('InCsumErrors', readFileSync('/proc/net/snmp', 'utf8')) }
}

/** "NAME: bytes packets ...", one line a device. */
function receivedBy(device: string, text: string): number {
  const line = text.split('\n').find((line) => line.trimStart().startsWith(`${device}:`)) ?? ''
  return Number(line.split(':')[1]?.trim().split(/\s+/)[1] ?? 0)
}

/** Two lines a protocol: names, then numbers. */
function tcpCounter(name: string, text: string): number {
  const [names = [], numbers = []] = text.split('\n').filter((line) => line.startsWith('Tcp:')).map((line) => line.split(' '))
  return Number(numbers[names.indexOf(name)] ?? 0)
}
