// The node's own address, looked up each time as the kubelet does, since DHCP and people change it.
import { networkInterfaces } from 'node:os'

/** The first IPv4 address of the uplink; the one it had at first where it has none now. */
export function nodeAddress(uplink: string, first: string): string {
  return networkInterfaces()[uplink]?.find(({ family }) => family === 'IPv4')?.address ?? first
}
