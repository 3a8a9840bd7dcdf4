// What an ADD answers, from the attachment alone: so a replay answers the same.
import { addressBits, familyOf } from '../net/address.ts'
import { cidrOf, parseCidr } from '../net/cidr.ts'
import type { PodAttachment } from './attachment-codec.ts'
import type { CniResult, ResultRoute } from './cni/cni-result.ts'
import { gatewayOf } from './ipam.ts'

const anywhere = { 4: parseCidr('0.0.0.0/0'), 6: parseCidr('::/0') }

export function resultOf(attachment: PodAttachment): CniResult {
  const { hostInterface, podInterface, podMac, mtu, netns, podCidrs } = attachment
  return {
    // The host veth's own MAC is the kernel's choice and nobody's concern.
    interfaces: [
      { name: hostInterface, mac: undefined, mtu, sandbox: undefined },
      { name: podInterface, mac: podMac, mtu, sandbox: netns },
    ],
    ips: podAddresses(attachment).map(({ address, prefix }, i) => ({
      address,
      prefix,
      gateway: podCidrs[i] && gatewayOf(podCidrs[i]),
      interface: 1,
    })),
    routes: podCidrs.flatMap((podCidr) => routesVia(attachment, podCidr)),
  }
}

/** The addresses as the pod's interface carries them. */
export function podAddresses({
  addresses,
  podCidrs,
  routed,
}: PodAttachment): { address: PodAttachment['addresses'][number]; prefix: number }[] {
  return addresses.map((address, i) => {
    const whole = addressBits(familyOf(address))
    return { address, prefix: routed ? whole : (podCidrs[i]?.prefix ?? whole) }
  })
}

function routesVia({ routed }: PodAttachment, podCidr: PodAttachment['podCidrs'][number]): ResultRoute[] {
  const gateway = gatewayOf(podCidr)
  const byDefault = { destination: anywhere[podCidr.family], gateway, mtu: undefined }
  return routed
    ? [{ destination: cidrOf(gateway, addressBits(podCidr.family)), gateway: undefined, mtu: undefined }, byDefault]
    : [byDefault]
}
