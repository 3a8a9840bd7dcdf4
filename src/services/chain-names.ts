// The names of a service port's chains, as kube-proxy makes them: 16 characters of base32(sha256(...)), so that any
// name fits the kernel's 28.
import { hash } from 'node:crypto'
import { flatString } from '../net/flat-string.ts'
import type { ServicePort } from './service-port.ts'

export interface ChainNames {
  /** Spreads over the endpoints of all nodes, over those of this node alone. */
  readonly cluster: string
  readonly local: string
  /** Where external traffic enters. */
  readonly external: string
  /** Lets the source ranges of a load balancer through. */
  readonly firewall: string
}

/** The four chains of a service port share one hash. */
export function chainNames({ id, protocol }: Pick<ServicePort, 'id' | 'protocol'>): ChainNames {
  const digest = shortHash(id + protocol)
  return {
    cluster: flatString('KUBE-SVC-', digest),
    local: flatString('KUBE-SVL-', digest),
    external: flatString('KUBE-EXT-', digest),
    firewall: flatString('KUBE-FW-', digest),
  }
}

/** The chain of one endpoint of a service port. @param endpoint "IP:port", as endpointText makes it. */
export function endpointChain({ id, protocol }: Pick<ServicePort, 'id' | 'protocol'>, endpoint: string): string {
  return flatString('KUBE-SEP-', shortHash(id + protocol + endpoint))
}

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'

/** The first 16 characters of RFC 4648 base32 of the text's SHA-256: 80 bits, five a character. */
export function shortHash(text: string): string {
  const bytes = hash('sha256', text, 'buffer')
  const letters: number[] = []
  for (let at = 0; at < 10; at += 5) {
    const high = bytes.readUInt32BE(at)
    const low = bytes.readUInt8(at + 4)
    for (const shift of [27, 22, 17, 12, 7, 2]) letters.push(alphabet.charCodeAt((high >>> shift) & 31))
    letters.push(alphabet.charCodeAt(((high & 3) << 3) | (low >>> 5)), alphabet.charCodeAt(low & 31))
  }
  return String.fromCharCode(...letters)
}
