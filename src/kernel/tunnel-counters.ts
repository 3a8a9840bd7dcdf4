// What a node's kernel has counted of what came through the tunnel: by it two nodes tell which way packets get lost,
// and why.
import { existsSync, readFileSync } from 'node:fs'
import type { InterfaceName } from '../net/interface-name.ts'

export interface TunnelCounters {
  /** Packets that the device has received; 0 where there is no such device. */
  readonly received: number
  /**
   * What this network namespace has thrown away for its checksum: TCP segments, and UDP datagrams, as VXLAN's outer
   * packets are.
   */
  readonly checksumErrors: number
}

export function readTunnelCounters(device: InterfaceName): TunnelCounters {
  return {
    received: receivedBy(device, readFileSync('/proc/net/dev', 'utf8')),
    checksumErrors: checksumErrors(readFileSync('/proc/net/snmp', 'utf8')) + checksumErrors6(),
  }
}

export function grownBy(before: TunnelCounters, after: TunnelCounters): TunnelCounters {
  return { received: after.received - before.received, checksumErrors: after.checksumErrors - before.checksumErrors }
}

/** "NAME: bytes packets ...", one line a device. */
function receivedBy(device: string, text: string): number {
  const line = text.split('\n').find((line) => line.trimStart().startsWith(`${device}:`)) ?? ''
  return Number(line.split(':')[1]?.trim().split(/\s+/)[1] ?? 0)
}

/** Two lines a protocol: names, then numbers. TCP counts both families in one. */
function checksumErrors(text: string): number {
  const lines = text.split('\n').map((line) => line.split(' '))
  const counts = ['Tcp:', 'Udp:'].map((protocol) => {
    const [names = [], numbers = []] = lines.filter(([first]) => first === protocol)
    return Number(numbers[names.indexOf('InCsumErrors')] ?? 0)
  })
  return counts.reduce((sum, count) => sum + count, 0)
}

/** A kernel without IPv6 has no such file. */
function checksumErrors6(): number {
  if (!existsSync('/proc/net/snmp6')) return 0
  return Number(/^Udp6InCsumErrors\s+(\d+)$/m.exec(readFileSync('/proc/net/snmp6', 'utf8'))?.[1] ?? 0)
}
