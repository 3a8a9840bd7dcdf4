// Changes to queueing disciplines and their filters: traffic limits. Each is documented by the command it equals.
import type { InterfaceName } from '../net/interface-name.ts'
import type { Change } from './change.ts'
import { ourGroup } from './kernel.ts'

/** The kernel holds tbf's bucket and queue in 32 bits of bytes. */
const maxBytes = 2 ** 32 - 1
/** A packet of BIG TCP (net/core, GSO_MAX_SIZE) and one of 64 KiB: whatever fits the bucket fits this queue. */
const queuedBurst = 9 * 65_536

/**
 * `tc qdisc replace dev X root tbf rate 10000000bit burst 32000b limit 63250`: limits what leaves through the device.
 * `replace`, so that a new limit is one change.
 *
 * The queue holds what the rate sends within the latency, and as much of a burst as may arrive in one packet. tc's own
 * `latency` adds the whole burst: in 32 bits that wraps to a queue shorter than a packet, and where it does not, half a
 * gigabyte of packets may wait for hours (containerd's default burst). A burst needs no queue: the bucket lets it pass.
 *
 * @param limit the rate in bit/s, the bucket in bits below 2^35, and how long a packet may wait for tokens
 * @throws {TypeError} for what is no positive whole number
 * @throws {RangeError} for a bucket that the kernel cannot hold
 */
export function addTbf(
  device: InterfaceName,
  limit: { rateBits: number; burstBits: number; latencyMs: number },
): Change {
  // The kernel counts bytes: tc would round a rate below 8 bit/s to none.
  const rate = Math.max(8, positiveInteger('rateBits', limit.rateBits))
  const burst = Math.max(1, Math.floor(positiveInteger('burstBits', limit.burstBits) / 8))
  if (burst > maxBytes) throw new RangeError(`Expected burstBits to be below 2^35, got \`${limit.burstBits}\``)
  const waiting = Math.floor((rate / 8) * (positiveInteger('latencyMs', limit.latencyMs) / 1000))
  const queue = Math.min(maxBytes, waiting + Math.min(burst, queuedBurst))
  const line = `qdisc replace dev ${device} root tbf rate ${rate}bit burst ${burst}b limit ${queue}`
  return { tool: 'tc', line, kind: 'qdisc', object: `root qdisc of ${device}` }
}

/** `ip link add X group 98 up type ifb`: what is redirected to it passes its root qdisc and goes on. */
export function addIfb(name: InterfaceName): Change {
  return { tool: 'ip', line: `link add ${name} group ${ourGroup} up type ifb`, kind: 'link', object: `link ${name}` }
}

/** `tc qdisc add dev X ingress` */
export function addIngressQdisc(device: InterfaceName): Change {
  return { tool: 'tc', line: `qdisc add dev ${device} ingress`, kind: 'qdisc', object: `ingress qdisc of ${device}` }
}

/**
 * `tc filter replace dev X parent ffff: protocol all prio 1 handle 800::1 u32 match u32 0 0 action mirred egress
 * redirect dev IFB`: all that enters the device.
 */
export function redirectIngress(device: InterfaceName, ifb: InterfaceName): Change {
  const line = `filter replace dev ${device} parent ffff: protocol all prio 1 handle 800::1 u32 match u32 0 0 action mirred egress redirect dev ${ifb}`
  return { tool: 'tc', line, kind: 'filter', object: `ingress filter of ${device}` }
}

/** `tc qdisc del dev X root` or `ingress`; its filters go with it. */
export function deleteQdisc(device: InterfaceName, where: 'root' | 'ingress'): Change {
  return { tool: 'tc', line: `qdisc del dev ${device} ${where}`, kind: 'qdisc', object: `${where} qdisc of ${device}` }
}

function positiveInteger(name: string, value: number): number {
  if (!Number.isSafeInteger(value) || value <= 0)
    throw new TypeError(`Expected ${name} to be a positive whole number, got \`${value}\``)
  return value
}
