// Changes to queueing disciplines and their filters: traffic limits. Each is documented by the command it equals.
import type { InterfaceName } from '../net/interface-name.ts'
import type { Change } from './change.ts'
import { ourGroup } from './kernel.ts'

/**
 * `tc qdisc replace dev X root tbf rate 10000000bit burst 32000b latency 25ms`: limits what leaves through the device.
 * `replace`, so that a new limit is one change.
 */
export function addTbf(
  device: InterfaceName,
  limit: { rateBits: number; burstBits: number; latencyMs: number },
): Change {
  const rate = positiveInteger('rateBits', limit.rateBits)
  const burst = Math.max(1, Math.floor(positiveInteger('burstBits', limit.burstBits) / 8))
  // tc keeps the bucket in 32 bits.
  if (burst >= 2 ** 32) throw new RangeError(`Expected burstBits to be below 2^35, got \`${limit.burstBits}\``)
  const line = `qdisc replace dev ${device} root tbf rate ${rate}bit burst ${burst}b latency ${positiveInteger('latencyMs', limit.latencyMs)}ms`
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
